// The head: the last ConvUnit, the mean of its map, the head's convolution, which not every network
// has, and the classifier.
#pragma once

#include <algorithm>
#include <cstddef>

#include "network/context.h"
#include "network/model.h"
#include "network/workspace.h"
#include "ops/activation.h"
#include "ops/channel_sums.h"
#include "ops/dense.h"
#include "ops/dense_int8.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "runtime/thread_team.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Computes the means of the last ConvUnit's map, whose planes never exist all at once: a channel
// tile is summed as soon as it is computed.
template <class PointwiseKernel>
void pool_last(const Pointwise& layer, const Grid& grid, Planes in, const ForwardContext& context) {
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

// Computes the features from the means.
template <class PointwiseKernel>
void convolve_means(const Dense& layer, int images, const ForwardContext& context) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  const Activation activation = context.model.activation;
  const Workspace& space = context.workspace;
  const TeamMember& member = context.member;
  const Range part = member.part_of(layer.out, kMaxLanes);
  dense_layer<PointwiseKernel>(layer, space.pooled, space.features, images, part,
                               context.own().bytes);
  for_each_vector<Lanes>(space.features, images, part,
                         [=](Floats<Lanes> x) { return activate<Lanes>(activation, x); });
  if (member.rank == 0) clear_padding<Lanes>(space.features, images, layer.out);
  member.sync();
}

// From the last block's map to (images, outputs), row-major.
template <class PointwiseKernel>
void head(const Grid& grid, Planes in, const ForwardContext& context, float* out) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  const Head& layers = context.model.head;
  const TeamMember& member = context.member;
  const int images = grid.images;
  pool_last<PointwiseKernel>(layers.last, grid, in, context);
  if (layers.head.out > 0) convolve_means<PointwiseKernel>(layers.head, images, context);
  const ChannelRows features =
      layers.head.out > 0 ? context.workspace.features : context.workspace.pooled;
  const Range part = member.part_of(layers.outputs());
  if (layers.classifier.out > 0) {
    return dense<Lanes>(layers.classifier, features, {out, layers.classifier.out}, images, part);
  }
  for (int image = 0; image < images; ++image) {
    std::copy_n(features.row(image) + part.begin, part.size(),
                out + image * std::ptrdiff_t{layers.features()} + part.begin);
  }
}

}  // namespace ghostnet::cpu
