// The attention of a bottleneck's first Ghost module, as one thread computes it: the input of a row
// tile is pooled once; the gates of a channel tile are computed while it is in the cache.
#pragma once

#include <cstddef>

#include "network/block.h"
#include "network/workspace.h"
#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/planes.h"
#include "ops/range.h"

namespace ghostnet::cpu {

// `PointwiseKernel` is VectorPointwise, AmxPointwise or Int8Pointwise.
template <class PointwiseKernel>
class AttentionTask {
  static constexpr int Lanes = PointwiseKernel::kLanes;

 public:
  AttentionTask(const BlockParams& params, ThreadWorkspace& own)
      : layers_(params.block.attention),
        map_(params.in_grid),
        gates_(params.gates),
        own_(own),
        pointwise_(own.pooled_input, own.prefetcher) {}

  // Pools the input under the gates of some rows of the module's output.
  void set_rows(Planes in, Range rows) {
    const Grid& grid = gates_.grid;
    rows_ = rows;
    const Range pooled_rows = grid.with_halo(gates_.rows.under(rows), Strip::kHalf);
    pooled_span_ = grid.span(pooled_rows);
    const Planes pooled = partial_planes(own_.pooled, pooled_span_);
    for (int c = 0; c < layers_.parts[0].in; ++c) {
      pool_plane<Lanes>(in.plane(c), map_, pooled.plane(c), grid, pooled_rows);
    }
    pointwise_.set_input(layers_.parts[0], pooled, pooled_span_);
    if (has_gate_lanes<Lanes>(layers_.upsampling, map_.width)) {
      find_gate_lanes<Lanes>(gates_, map_.width, rows, own_.gate_lanes);
    }
  }

  // Computes the gates of a channel tile of one part.
  void compute(int part, Range channels) {
    const Planes planes = tile();
    const Planes strips = partial_planes(own_.strips, pooled_span_);
    const std::ptrdiff_t first = part * layers_.parts[0].out;
    const Range gated{first + channels.begin, first + channels.end};
    pointwise_.compute(layers_.parts[part], channels, Activation::kNone, planes);
    convolve_rows<Lanes>(layers_.horizontal, gated, planes, gates_.grid, strips, pooled_span_);
    convolve_columns<Lanes>(layers_.vertical, gated, strips, gates_.grid, planes, pooled_span_);
  }

  // Multiplies the rows of a plane by the gates of a channel of the tile.
  void apply(std::ptrdiff_t channel, const float* in, float* out) const {
    const float* const gates = tile().plane(channel);
    if (has_gate_lanes<Lanes>(layers_.upsampling, map_.width)) {
      return multiply_span<Lanes>(gates, own_.gate_lanes, in, out, map_.span(rows_));
    }
    const auto multiply = layers_.upsampling == Upsampling::kNearest
                              ? &multiply_rows<Lanes, Upsampling::kNearest>
                              : &multiply_rows<Lanes, Upsampling::kBilinear>;
    multiply(gates, gates_, in, map_.width, out, rows_);
  }

 private:
  Planes tile() const { return partial_planes(own_.gates, pooled_span_); }

  const Attention& layers_;
  const Grid& map_;
  const GateGrid& gates_;
  ThreadWorkspace& own_;
  PointwiseKernel pointwise_;
  Range rows_{};
  Range pooled_span_{};
};

}  // namespace ghostnet::cpu
