// The head: the last ConvUnit, the mean of its maps, the head's convolution and the classifier.
#pragma once

#include "network/model.h"
#include "ops/squeeze_excite.h"
#include "runtime/thread_team.h"
#include "network/workspace.h"

namespace ghostnet::cpu {

// Planes to (images, outputs) row-major. The last feature map is never whole: a block of channels
// is summed as soon as it is there.
template <class Product>
void head(const Head& layer, Activation activation, const Grid& grid, Planes in, float* out,
          Workspace& space, Worker worker) {
  constexpr int Lanes = Product::kLanes;
  const int images = grid.images;
  const Planes maps{space.threads[worker.rank].block_primary, grid.extent()};
  const float scale = 1.0F / (grid.height * grid.width);
  const Blocks blocks = Product::blocks(layer.last);
  const Range own = worker.share(blocks.count());
  Product product(space.threads[worker.rank].product, space.threads[worker.rank].ahead);
  product.read(layer.last, in, grid.span(grid.all_rows()));
  for (std::ptrdiff_t block = own.begin; block < own.end; ++block) {
    const Range channels = blocks.block(block);
    product.write(layer.last, channels, activation, maps);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      sum_channel<Lanes>(maps.plane(c), grid, grid.all_rows(), channels.begin + c, space.pooled);
    }
    for_each_pack<Lanes>(space.pooled, images, channels,
                         [scale](Floats<Lanes> x) { return x * scale; });
  }
  if (worker.rank == 0) clear_padding<Lanes>(space.pooled, images, layer.last.out);
  worker.sync();
  const Range features = worker.share(layer.head.out, kMaxLanes);
  dense<Lanes>(layer.head, space.pooled, space.features, images, features);
  for_each_pack<Lanes>(space.features, images, features,
                       [=](Floats<Lanes> x) { return activate<Lanes>(activation, x); });
  if (layer.classifier.out == 0) {
    for (int image = 0; image < images; ++image) {
      std::copy_n(space.features.vector(image) + features.begin, features.size(),
                  out + image * std::ptrdiff_t{layer.head.out} + features.begin);
    }
    return;
  }
  if (worker.rank == 0) clear_padding<Lanes>(space.features, images, layer.head.out);
  worker.sync();
  dense<Lanes>(layer.classifier, space.features, {out, layer.classifier.out}, images,
               worker.share(layer.classifier.out));
}

}  // namespace ghostnet::cpu
