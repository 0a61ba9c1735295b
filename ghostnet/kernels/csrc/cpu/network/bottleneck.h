// One bottleneck of Ghost or RepGhost modules, from planes to planes.
//
// A Ghost module's cheap operation and the depthwise convolutions after it need nothing but their
// own channel, so a channel tile goes through all of them while it is in the cache. The expanded
// map exists only at the bottleneck's output size. A team that partitions by rows computes the rows
// of the expanded map at the border of two threads twice, which is faster than to exchange them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "network/attention.h"
#include "network/block.h"
#include "network/context.h"
#include "network/feature_maps.h"
#include "network/model.h"
#include "network/piece_sums.h"
#include "network/team_squeeze_excite.h"
#include "network/workspace.h"
#include "ops/activation.h"
#include "ops/channel_sums.h"
#include "ops/depthwise.h"
#include "ops/planes.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/prefetch.h"

namespace ghostnet::cpu {

// One thread's part of a bottleneck. `PointwiseKernel` is VectorPointwise, AmxPointwise or
// Int8Pointwise.
template <class PointwiseKernel>
class BottleneckTask {
  static constexpr int Lanes = PointwiseKernel::kLanes;

 public:
  BottleneckTask(const BlockParams& params, const ForwardContext& context)
      : block_(params.block),
        activation_(context.model.activation),
        in_grid_(params.in_grid),
        out_grid_(params.out_grid),
        in_(params.in),
        out_(params.out),
        next_dense_(params.next_dense),
        context_(context),
        own_(context.own()),
        expansion_tiles_(PointwiseKernel::tiles(block_.ghost1.primary)),
        projection_tiles_(PointwiseKernel::tiles(block_.ghost2.primary)),
        pointwise_(own_.input, own_.prefetcher),
        shortcut_pointwise_(own_.shortcut_input, own_.prefetcher),
        attention_(params, own_),
        by_rows_(is_partitioned_by_rows(out_grid_, context.member.team_size)),
        rows_(by_rows_ ? own_rows(context.member, out_grid_) : out_grid_.all_rows()),
        expanded_rows_(by_rows_ ? out_grid_.with_halo(rows_, 1) : rows_),
        expanded_(by_rows_ ? partial_planes(own_.expanded, out_grid_.span(expanded_rows_))
                           : Planes{context.workspace.expanded, out_grid_.stride()}),
        shortcut_(by_rows_ ? partial_planes(own_.shortcut, out_grid_.span(rows_))
                           : Planes{context.workspace.shortcut, out_grid_.stride()}) {}

  void run() {
    expand();
    if (block_.has_squeeze_excite()) {
      context_.member.sync();
      squeeze_excite<PointwiseKernel>(block_.squeeze_excite, out_grid_, context_);
      apply_gates(expansion_tiles_.channels_of(part_of(expansion_tiles_.count())));
    }
    if (!by_rows_) context_.member.sync();
    own_.prefetcher.retarget(next_dense_);
    project();
    context_.member.sync();
  }

 private:
  // This thread's part of so many channels or channel tiles.
  Range part_of(std::ptrdiff_t count) const {
    return by_rows_ ? Range{0, count} : context_.member.part_of(count);
  }

  // The first Ghost module, downsampling, the sums for squeeze-excite, and the depthwise
  // convolution of the shortcut.
  void expand() {
    if (block_.has_squeeze_excite()) clear_sums();
    const Range tiles = part_of(expansion_tiles_.count());
    const std::ptrdiff_t height = row_tile_height(block_, in_grid_, out_grid_);
    const Range rows = expanded_rows_;
    for (std::ptrdiff_t row = rows.begin; row < rows.end; row += height) {
      expand_row_tile(tiles, {row, std::min(rows.end, row + height)});
    }
    if (is_in_place()) apply_cheap(expansion_tiles_.channels_of(tiles));
    if (block_.has_squeeze_excite()) sum_channels(expansion_tiles_.channels_of(tiles));
    if (block_.has_shortcut()) convolve_shortcut(part_of(block_.in));
  }

  // A team of one computes the primary planes of a stride-1 bottleneck straight into the expanded
  // map, where that has them.
  bool is_in_place() const {
    return block_.stride == 1 && context_.member.team_size == 1 &&
           block_.ghost1.is_concatenated() && !block_.has_attention();
  }

  void expand_row_tile(Range tiles, Range rows) {
    const Range needed = block_.stride == 1 ? rows : rows_under(block_, in_grid_, out_grid_, rows);
    const Range span = in_grid_.span(is_in_place() ? needed : in_grid_.with_halo(needed, 1));
    pointwise_.set_input(block_.ghost1.primary, in_, span);
    if (block_.has_attention()) attention_.set_rows(in_, needed);
    for (std::ptrdiff_t i = tiles.begin; i < tiles.end; ++i) {
      const Range channels = expansion_tiles_.tile(i);
      if (is_in_place()) {
        pointwise_.compute(block_.ghost1.primary, channels, activation_,
                           expanded_.from(channels.begin));
      } else if (block_.has_attention()) {
        expand_and_attend(channels, rows, needed, span);
      } else if (block_.stride == 1) {
        expand_aside(channels, rows, span);
      } else {
        expand_and_downsample(channels, rows, needed, span);
      }
    }
  }

  void apply_cheap(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      apply_cheap(c, expanded_.plane(c), cheap_plane(c), rows_);
    }
  }

  // Stride 1 in a team: computes primary planes aside, with the halo of this thread's rows, so that
  // no thread reads what another one is writing.
  void expand_aside(Range channels, Range rows, Range primary_span) {
    const Range span = in_grid_.span(rows);
    const Planes primary = partial_planes(own_.primary, primary_span);
    pointwise_.compute(block_.ghost1.primary, channels, activation_, primary);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      if (block_.ghost1.is_concatenated()) {
        std::memcpy(expanded_.plane(channel) + span.begin, primary.plane(c) + span.begin,
                    span.size() * sizeof(float));
      }
      apply_cheap(channel, primary.plane(c), cheap_plane(channel), rows);
    }
  }

  // Stride 2: the planes of the Ghost module stay aside; only their downsampling is kept.
  void expand_and_downsample(Range channels, Range rows, Range needed, Range primary_span) {
    const Planes primary = partial_planes(own_.primary, primary_span);
    float* const cheap = partial_planes(own_.cheap, primary_span).data;
    pointwise_.compute(block_.ghost1.primary, channels, activation_, primary);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      apply_cheap(channel, primary.plane(c), cheap, needed);
      if (block_.ghost1.is_concatenated()) {
        downsample(block_.downsample, channel, primary.plane(c), expanded_.plane(channel), rows);
      }
      downsample(block_.downsample, channel + block_.ghost1.first_cheap(), cheap,
                 cheap_plane(channel), rows);
    }
  }

  // With attention, either stride: both halves of the Ghost module stay aside until they have been
  // multiplied by their gates.
  void expand_and_attend(Range channels, Range rows, Range needed, Range primary_span) {
    const Planes primary = partial_planes(own_.primary, primary_span);
    float* const cheap = partial_planes(own_.cheap, primary_span).data;
    float* const gated = partial_planes(own_.gated, primary_span).data;
    pointwise_.compute(block_.ghost1.primary, channels, activation_, primary);
    for (int part = 0; part < 2; ++part) {
      attention_.compute(part, channels);
      for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
        if (part == 1) {
          apply_cheap(channels.begin + c, primary.plane(c), cheap, needed);
        }
        const float* const plane = part == 0 ? primary.plane(c) : cheap;
        const std::ptrdiff_t channel = channels.begin + c + part * block_.ghost1.first_cheap();
        if (block_.stride == 1) {
          attention_.apply(c, plane, expanded_.plane(channel));
        } else {
          attention_.apply(c, plane, gated);
          downsample(block_.downsample, channel, gated, expanded_.plane(channel), rows);
        }
      }
    }
  }

  void convolve_shortcut(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      downsample(block_.shortcut.depthwise, c, in_.plane(c), shortcut_.plane(c), rows_);
    }
  }

  // The second Ghost module and the addition of the shortcut.
  void project() {
    const Range tiles = part_of(projection_tiles_.count());
    const std::ptrdiff_t height = row_tile_height(block_, in_grid_, out_grid_);
    for (std::ptrdiff_t row = rows_.begin; row < rows_.end; row += height) {
      const Range rows{row, std::min(rows_.end, row + height)};
      const Range primary_span = out_grid_.span(out_grid_.with_halo(rows, 1));
      pointwise_.set_input(block_.ghost2.primary, expanded_, primary_span);
      if (block_.has_shortcut()) {
        shortcut_pointwise_.set_input(block_.shortcut.parts[0], shortcut_, out_grid_.span(rows));
      }
      for (std::ptrdiff_t i = tiles.begin; i < tiles.end; ++i) {
        project_tile(projection_tiles_.tile(i), rows, primary_span);
      }
    }
  }

  void project_tile(Range channels, Range rows, Range primary_span) {
    const Range span = out_grid_.span(rows);
    const Planes primary = partial_planes(own_.primary, primary_span);
    pointwise_.compute(block_.ghost2.primary, channels, Activation::kNone, primary);
    const GhostModule& module = block_.ghost2;
    Planes residual[] = {in_.from(channels.begin), in_.from(channels.begin + module.first_cheap())};
    if (block_.has_shortcut()) {
      residual[0] = partial_planes(own_.shortcut_output, span);
      residual[1] = module.is_concatenated() ? residual[0].from(channels.size()) : residual[0];
      for (int part = 0; part < module.parts(); ++part) {
        shortcut_pointwise_.compute(block_.shortcut.parts[part], channels, Activation::kNone,
                                    residual[part]);
      }
    }
    const Depthwise& cheap = module.cheap;
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      if (module.is_concatenated()) {
        add<Lanes>(primary.plane(c), residual[0].plane(c), out_.plane(channel), span);
      }
      convolve(cheap, channel,
               {primary.plane(c), out_grid_, cheap.filter(channel), cheap.bias[channel],
                Activation::kNone, residual[1].plane(c), out_.plane(channel + module.first_cheap()),
                out_grid_},
               rows);
    }
  }

  // A depthwise convolution of one plane, which is quantized first if the layer is.
  void convolve(const Depthwise& layer, std::ptrdiff_t channel, DepthwiseParams params,
                Range rows) const {
    if (layer.is_quantized()) {
      const Grid& grid = params.in_grid;
      const Range needed = layer.stride == 1
                               ? grid.with_halo(rows, layer.kernel / 2)
                               : rows_under(layer.kernel, grid, params.out_grid, rows);
      const Range span = grid.span(needed);
      float* const quantized = partial_planes(own_.quantized, span).data;
      quantize_span<Lanes>(layer.quantizer, params.in, quantized, span);
      params.in = quantized;
      params.step = layer.steps + channel;
    }
    depthwise<Lanes>(params, layer.kernel, layer.stride, rows);
  }

  // The cheap operation of the first Ghost module, for one primary plane.
  void apply_cheap(std::ptrdiff_t channel, const float* in, float* out, Range rows) const {
    const Depthwise& cheap = block_.ghost1.cheap;
    convolve(cheap, channel,
             {in, in_grid_, cheap.filter(channel), cheap.bias[channel], activation_, nullptr, out,
              in_grid_},
             rows);
  }

  // A depthwise convolution of one plane with the bottleneck's stride, without activation.
  void downsample(const Depthwise& layer, std::ptrdiff_t channel, const float* in, float* out,
                  Range rows) const {
    convolve(layer, channel,
             {in, in_grid_, layer.filter(channel), layer.bias[channel], Activation::kNone, nullptr,
              out, out_grid_},
             rows);
  }

  static void scale(float* values, Range span, float factor) {
    for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
      store_first<Lanes>(values + p, load<Lanes>(values + p) * factor, span.end - p);
    }
  }

  // The plane of the expanded map that the cheap operation makes of a primary channel.
  float* cheap_plane(std::ptrdiff_t channel) const {
    return expanded_.plane(channel + block_.ghost1.first_cheap());
  }

  // Calls body(channel) for each channel of the expanded map that comes of some primary channels.
  template <class Body>
  void for_each_expanded(Range channels, Body body) const {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      if (block_.ghost1.is_concatenated()) body(c);
      body(c + block_.ghost1.first_cheap());
    }
  }

  void clear_sums() {
    const PieceSums sums(own_.sums, out_grid_, block_.expanded);
    std::fill_n(sums.rows.row(0), sums.size(), 0.0F);
  }

  // Sums what comes of some primary channels over the pieces of this thread's rows.
  void sum_channels(Range channels) {
    const PieceSums sums(own_.sums, out_grid_, block_.expanded);
    for_each_expanded(channels, [&](std::ptrdiff_t channel) {
      sums.add<Lanes>(expanded_.plane(channel), rows_, channel);
    });
  }

  // Multiplies what comes of some primary channels by the gates of squeeze-excite.
  void apply_gates(Range channels) {
    for_each_expanded(channels, [&](std::ptrdiff_t channel) {
      for (int image = 0; image < out_grid_.images; ++image) {
        const float gate = context_.workspace.gates.row(image)[channel];
        const Range rows = out_grid_.images == 1 ? expanded_rows_ : out_grid_.image_rows(image);
        scale(expanded_.plane(channel), out_grid_.span(rows), gate);
      }
    });
  }

  const Bottleneck& block_;
  const Activation activation_;
  const Grid& in_grid_;
  const Grid& out_grid_;
  const Planes in_;
  const Planes out_;
  const PrefetchTargets next_dense_;
  const ForwardContext& context_;
  ThreadWorkspace& own_;
  const ChannelTiles expansion_tiles_;
  const ChannelTiles projection_tiles_;
  PointwiseKernel pointwise_;
  PointwiseKernel shortcut_pointwise_;
  AttentionTask<PointwiseKernel> attention_;
  const bool by_rows_;
  const Range rows_;
  const Range expanded_rows_;  // rows_ with the halo that the second cheap operation reads
  const Planes expanded_;
  const Planes shortcut_;
};

}  // namespace ghostnet::cpu
