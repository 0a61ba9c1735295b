// The head: the last ConvUnit, the mean of its map, the head's convolution and the classifier.
#pragma once

#include "network/context.h"
#include "ops/channel_sums.h"

namespace ghostnet::cpu {

// Computes the means of the last ConvUnit's map, whose planes never exist all at once: a channel
// tile is summed as soon as it is computed.
template <class PointwiseKernel>
void pool_last(const Pointwise& layer, const Grid& grid, Planes in,
               const ForwardContext& context) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  ThreadWorkspace& own = context.own();
  const ChannelRows pooled = context.workspace.pooled;
  const Planes map{own.primary, grid.stride()};
  const float scale = 1.0F / (grid.height * grid.width);
  const ChannelTiles tiles = PointwiseKernel::tiles(layer);
  const Range part = context.member.part_of(tiles.count());
  PointwiseKernel pointwise(own.input, own.prefetcher);
  pointwise.set_input(layer, in, grid.span(grid.all_rows()));
  for (std::ptrdiff_t tile = part.begin; tile < part.end; ++tile) {
    const Range channels = tiles.tile(tile);
    pointwise.compute(layer, channels, context.model.activation, map);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      sum_images<Lanes>(map.plane(c), grid, channels.begin + c, pooled);
    }
    for_each_vector<Lanes>(pooled, grid.images, channels,
                           [scale](Floats<Lanes> x) { return x * scale; });
  }
  if (context.member.rank == 0) clear_padding<Lanes>(pooled, grid.images, layer.out);
  context.member.sync();
}

// From the last bottleneck's map to (images, outputs), row-major.
template <class PointwiseKernel>
void head(const Grid& grid, Planes in, const ForwardContext& context, float* out) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  const Head& layers = context.model.head;
  const Activation activation = context.model.activation;
  const Workspace& space = context.workspace;
  const TeamMember& member = context.member;
  const int images = grid.images;
  pool_last<PointwiseKernel>(layers.last, grid, in, context);
  const Range features = member.part_of(layers.head.out, kMaxLanes);
  dense<Lanes>(layers.head, space.pooled, space.features, images, features);
  for_each_vector<Lanes>(space.features, images, features,
                         [=](Floats<Lanes> x) { return activate<Lanes>(activation, x); });
  if (layers.classifier.out == 0) {
    for (int image = 0; image < images; ++image) {
      std::copy_n(space.features.row(image) + features.begin, features.size(),
                  out + image * std::ptrdiff_t{layers.head.out} + features.begin);
    }
    return;
  }
  if (member.rank == 0) clear_padding<Lanes>(space.features, images, layers.head.out);
  member.sync();
  dense<Lanes>(layers.classifier, space.features, {out, layers.classifier.out}, images,
               member.part_of(layers.classifier.out));
}

}  // namespace ghostnet::cpu
