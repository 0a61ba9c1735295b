// A batch of pictures through the whole network.
#pragma once

#include "bottleneck.h"
#include "head.h"
#include "stem.h"

namespace ghostnet::cuda {

// Pictures (images, 3, height, width) to (images, outputs), both of T. Everything is started on
// the stream and nothing is waited for.
template <class T>
void forward(Stream& stream, const Model& model, const Route& route, const T* pictures, T* out,
             int outputs, const Workspace<T>& space) {
  const T* map = space.maps[0];
  stream.launch(StemKernel<T>{model.stem, model.activation, route.pictures, route.stem, pictures,
                              space.maps[0]});
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    T* const next = space.maps[(i + 1) % 2];
    bottleneck(stream, model.blocks[i], route.blocks[i], model.activation, map, next, space);
    map = next;
  }
  const Head& head = model.head;
  const int pixels = route.last_grid.image_pixels();
  const int images = route.last_grid.images;
  const LastKernel<T> last{head.last, model.activation, route.last_grid, route.last,
                           MapSource<T>{map, nullptr, head.last.in, pixels}, space.totals};
  stream.launch(last);
  const Totals means{space.totals, last.regions(), head.last.out, 1.0F / pixels};
  if (head.classifier.out == 0) {
    stream.launch(DenseKernel<T>{head.head, model.activation, means, images, out, outputs});
    return;
  }
  stream.launch(DenseKernel<float>{head.head, model.activation, means, images, space.features,
                                   head.head.out});
  stream.launch(DenseKernel<T>{head.classifier, Activation::kNone,
                               Totals{space.features, 1, head.head.out, 1.0F}, images, out,
                               outputs});
}

}  // namespace ghostnet::cuda
