// One inverted residual of MobileNetV2, from planes to planes.
//
// As in a Ghost bottleneck, a channel tile goes through the expansion and the depthwise convolution
// while it is in the cache, and the expanded map exists only at the block's output size. Here the
// projection reads no halo of it.
#pragma once

#include <algorithm>
#include <cstddef>

#include "network/block.h"
#include "network/context.h"
#include "network/model.h"
#include "network/row_partition.h"
#include "network/workspace.h"
#include "ops/activation.h"
#include "ops/depthwise.h"
#include "ops/planes.h"
#include "ops/range.h"

namespace ghostnet::cpu {

// One thread's part of a block. `PointwiseKernel` is VectorPointwise, AmxPointwise or
// Int8Pointwise.
template <class PointwiseKernel>
class InvertedResidualTask {
  static constexpr int Lanes = PointwiseKernel::kLanes;

 public:
  InvertedResidualTask(const BlockParams& params, const ForwardContext& context)
      : params_(params),
        block_(params.block),
        layers_(params.block.inverted_residual),
        context_(context),
        own_(context.own()),
        pointwise_(own_.input, own_.prefetcher),
        by_rows_(is_partitioned_by_rows(params.out_grid, context.member.team_size)),
        rows_(by_rows_ ? own_rows(context.member, params.out_grid) : params.out_grid.all_rows()),
        expanded_(by_rows_ ? partial_planes(own_.expanded, params.out_grid.span(rows_))
                           : Planes{context.workspace.expanded, params.out_grid.stride()}) {}

  void run() {
    layers_.expansion.out > 0 ? expand() : filter(part_of(block_.in), params_.in, 0, rows_);
    if (!by_rows_) context_.member.sync();
    own_.prefetcher.retarget(params_.next_dense);
    project();
    context_.member.sync();
  }

 private:
  // This thread's part of so many channels or channel tiles.
  Range part_of(std::ptrdiff_t count) const {
    return by_rows_ ? Range{0, count} : context_.member.part_of(count);
  }

  // Calls body(rows) for each row tile of this thread's rows of output.
  template <class Body>
  void for_each_row_tile(Body body) const {
    const std::ptrdiff_t height = row_tile_height(block_, params_.in_grid, params_.out_grid);
    for (std::ptrdiff_t row = rows_.begin; row < rows_.end; row += height) {
      body(Range{row, std::min(rows_.end, row + height)});
    }
  }

  // The expansion, whose planes stay aside, and the depthwise convolution of them.
  void expand() {
    const ChannelTiles tiles = PointwiseKernel::tiles(layers_.expansion);
    const Range part = part_of(tiles.count());
    for_each_row_tile([&](Range rows) {
      const Grid& grid = params_.in_grid;
      const Range span = grid.span(rows_filtered(block_, grid, params_.out_grid, rows));
      const Planes aside = partial_planes(own_.primary, span);
      pointwise_.set_input(layers_.expansion, params_.in, span);
      for (std::ptrdiff_t i = part.begin; i < part.end; ++i) {
        const Range channels = tiles.tile(i);
        pointwise_.compute(layers_.expansion, channels, context_.model.activation, aside);
        filter(channels, aside, channels.begin, rows);
      }
    });
  }

  // The depthwise convolution of some channels. `in` begins with channel `first`.
  void filter(Range channels, Planes in, std::ptrdiff_t first, Range rows) const {
    const Depthwise& layer = layers_.depthwise;
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      depthwise<Lanes>({in.plane(c - first), params_.in_grid, layer.filter(c), layer.bias[c],
                        context_.model.activation, nullptr, expanded_.plane(c), params_.out_grid},
                       layer.kernel, layer.stride, rows);
    }
  }

  // The projection and the addition of the input.
  void project() {
    const ChannelTiles tiles = PointwiseKernel::tiles(layers_.projection);
    const Range part = part_of(tiles.count());
    for_each_row_tile([&](Range rows) {
      const Range span = params_.out_grid.span(rows);
      pointwise_.set_input(layers_.projection, expanded_, span);
      for (std::ptrdiff_t i = part.begin; i < part.end; ++i) project_tile(tiles.tile(i), span);
    });
  }

  void project_tile(Range channels, Range span) {
    const Planes out = params_.out.from(channels.begin);
    const bool adds = block_.has_residual();
    const Planes projected = adds ? partial_planes(own_.primary, span) : out;
    pointwise_.compute(layers_.projection, channels, Activation::kNone, projected);
    if (!adds) return;
    const Planes in = params_.in.from(channels.begin);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      add<Lanes>(projected.plane(c), in.plane(c), out.plane(c), span);
    }
  }

  const BlockParams& params_;
  const Bottleneck& block_;
  const InvertedResidual& layers_;
  const ForwardContext& context_;
  ThreadWorkspace& own_;
  PointwiseKernel pointwise_;
  const bool by_rows_;
  const Range rows_;
  const Planes expanded_;
};

}  // namespace ghostnet::cpu
