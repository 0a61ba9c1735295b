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
    gate_span_ = grid.span(gates_.rows.under(rows));
    const Range pooled_rows = grid.with_halo(gates_.rows.under(rows), Strip::kHalf);
    pooled_span_ = grid.span(pooled_rows);
    const Planes pooled = partial_planes(own_.pooled, pooled_span_);
    for (int c = 0; c < layers_.parts[0].in; ++c) {
      pool_plane<Lanes>(in.plane(c), map_, pooled.plane(c), grid, pooled_rows);
    }
    pointwise_.set_input(layers_.parts[0], pooled, pooled_span_);
  }

  // Computes the gates of a channel tile of one part.
  void compute(int part, Range channels) {
    const Planes planes = tile();
    float* const strip = partial_planes(own_.strip, pooled_span_).data;
    pointwise_.compute(layers_.parts[part], channels, Activation::kNone, planes);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = part * layers_.parts[0].out + channels.begin + c;
      float* const plane = planes.plane(c);
      convolve_rows<Lanes>(layers_.horizontal, channel, plane, gates_.grid, strip, pooled_span_);
      convolve_columns<Lanes>(layers_.vertical, channel, strip, gates_.grid, plane, gate_span_);
    }
  }

  // Multiplies the rows of a plane by the gates of a channel of the tile.
  void apply(std::ptrdiff_t channel, const float* in, float* out) const {
    const float* const gates = tile().plane(channel);
    const auto multiply = layers_.upsampling == Upsampling::kNearest
                              ? &multiply_by_gates<Lanes, Upsampling::kNearest>
                              : &multiply_by_gates<Lanes, Upsampling::kBilinear>;
    multiply(gates, gates_, in, map_.width, out, rows_, own_.strip);
  }

 private:
  Planes tile() const { return partial_planes(own_.gates, pooled_span_); }

  const Attention& layers_;
  const Grid& map_;
  const GateGrid& gates_;
  ThreadWorkspace& own_;
  PointwiseKernel pointwise_;
  Range rows_{};
  Range gate_span_{};
  Range pooled_span_{};
};

}  // namespace ghostnet::cpu
