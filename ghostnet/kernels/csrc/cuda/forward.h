// A batch of images through the whole network.
#pragma once

#include <cstddef>

#include "bottleneck.h"
#include "last_unit.h"
#include "stem.h"

namespace ghostnet::cuda {

// Images (images, 3, height, width) and outputs (images, outputs), both row-major. `outputs` are at
// most those of the last layer, which are padded.
template <class T>
struct ImageBatch {
  const T* images;
  T* out;
  int outputs;
};

// From the last bottleneck's map to the outputs.
template <class T>
void head(Stream& stream, const Model& model, const Schedule& schedule, const T* map,
          const ImageBatch<T>& batch, const Workspace<T>& space) {
  const Head& layers = model.head;
  const int pixels = schedule.last_grid.image_pixels();
  const int images = schedule.last_grid.images;
  const LastUnitKernel<T> last{layers.last,
                               model.activation,
                               schedule.last_grid,
                               schedule.last,
                               MapSource<T>{map, nullptr, layers.last.in, pixels},
                               space.sums};
  stream.launch(last);
  const ChannelSums means{space.sums, last.regions(), layers.last.out, 1.0F / pixels};
  if (layers.classifier.out == 0) {
    stream.launch(
        DenseKernel<T>{layers.head, model.activation, means, images, batch.out, batch.outputs});
    return;
  }
  stream.launch(DenseKernel<float>{layers.head, model.activation, means, images, space.features,
                                   layers.head.out});
  stream.launch(DenseKernel<T>{layers.classifier, Activation::kNone,
                               ChannelSums{space.features, 1, layers.head.out, 1.0F}, images,
                               batch.out, batch.outputs});
}

// Launches all kernels on the stream and does not wait for them.
template <class T>
void forward(Stream& stream, const Model& model, const Schedule& schedule,
             const ImageBatch<T>& batch, const Workspace<T>& space) {
  const T* map = space.maps[0];
  stream.launch(StemKernel<T>{model.stem, model.activation, schedule.input, schedule.stem,
                              batch.images, space.maps[0]});
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    T* const next = space.maps[(i + 1) % 2];
    bottleneck<T>(stream, {model.blocks[i], schedule.blocks[i], model.activation, map, next},
                  space);
    map = next;
  }
  head(stream, model, schedule, map, batch, space);
}

}  // namespace ghostnet::cuda
