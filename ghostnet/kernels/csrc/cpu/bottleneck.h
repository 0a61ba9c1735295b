// One Ghost bottleneck, from planes to planes.
//
// A Ghost module's cheap operation and the depthwise convolutions after it need nothing but their
// own channel, so a block of channels goes through all of them while it is in the cache: the
// expanded feature map exists only at the block's output size. A team meets twice in a block (four
// times with squeeze-excite): when the expanded map is whole and when the output is.
#pragma once

#include "model.h"
#include "squeeze_excite.h"
#include "worker.h"
#include "workspace.h"

namespace ghostnet::cpu {

// A team shares high maps by rows, computing a few rows of their neighbours' twice; low ones by
// blocks of channels.
constexpr int kRowsWorthSharing = 8;

constexpr int kMaxPadding = 2;

// One block at work, as one thread of the team sees it.
template <int Lanes>
class BottleneckTask {
 public:
  BottleneckTask(const Bottleneck& block, Activation activation, const Grid& in_grid,
                 const Grid& out_grid, Planes in, Planes out, Workspace& space, Worker worker)
      : block_(block),
        activation_(activation),
        in_grid_(in_grid),
        out_grid_(out_grid),
        in_(in),
        out_(out),
        space_(space),
        scratch_(space.scratch[worker.rank]),
        worker_(worker),
        by_rows_(worker.size > 1 && out_grid.rows() >= kRowsWorthSharing * worker.size),
        rows_(by_rows_ ? worker.share(out_grid.rows()) : out_grid.all_rows()),
        expanded_{space.expanded, out_grid.extent()},
        shortcut_{space.shortcut, out_grid.extent()} {}

  void run() {
    expand();
    worker_.sync();
    if (block_.has_squeeze_excite()) {
      squeeze_excite<Lanes>(block_.squeeze_excite, out_grid_, space_, worker_);
    }
    project();
    worker_.sync();
  }

 private:
  Range share(std::ptrdiff_t count) const {
    return by_rows_ ? Range{0, count} : worker_.share(count);
  }

  // The first Ghost module, downsampling, the sums for squeeze-excite, and the depthwise
  // convolution of the shortcut.
  void expand() {
    if (block_.has_squeeze_excite()) clear_sums();
    const Pointwise& primary = block_.ghost1.primary;
    const Range blocks = share(primary.blocks());
    for (std::ptrdiff_t i = blocks.begin; i < blocks.end; ++i) {
      const Range channels = primary.channels(i);
      block_.stride == 1 ? expand_block(i, channels) : expand_and_downsample_block(i, channels);
      if (block_.has_squeeze_excite()) sum_block(channels);
    }
    if (block_.has_shortcut()) {
      const Range channels = share(block_.in);
      for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
        convolve(block_.shortcut.depthwise, c, in_.plane(c), in_grid_, shortcut_.plane(c),
                 out_grid_, rows_, Activation::kNone);
      }
    }
  }

  // Stride 1: a thread alone computes primary planes where they belong; in a team, aside with the
  // rows next to its own, so that no thread reads what another is writing.
  void expand_block(std::ptrdiff_t block, Range channels) {
    const Planes own = expanded_.from(channels.begin);
    const bool aside = worker_.size > 1;
    const Planes primary = aside ? Planes{scratch_.primary, in_grid_.extent()} : own;
    const Range around = in_grid_.span(in_grid_.widened(rows_, 1));
    multiply(block_.ghost1.primary, block, nullptr, in_, primary, in_grid_, around, activation_);
    const Range span = in_grid_.span(rows_);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      if (aside) {
        pad_before(primary.plane(c) + around.begin);
        std::memcpy(own.plane(c) + span.begin, primary.plane(c) + span.begin,
                    span.size() * sizeof(float));
      }
      convolve(block_.ghost1.cheap, channels.begin + c, primary.plane(c), in_grid_,
               cheap_half(channels.begin + c), in_grid_, rows_, activation_);
    }
  }

  // Stride 2: both halves of the Ghost module stay aside, only their downsampling is kept.
  void expand_and_downsample_block(std::ptrdiff_t block, Range channels) {
    const Planes primary{scratch_.primary, in_grid_.extent()};
    const Planes cheap{scratch_.cheap, in_grid_.extent()};
    const Range doubled{rows_.begin * 2, std::min<std::ptrdiff_t>(rows_.end * 2 - 1, in_grid_.rows())};
    const Range needed = out_grid_.images > 1 ? in_grid_.all_rows()
                                              : in_grid_.widened(doubled, block_.kernel / 2);
    const Range around = in_grid_.span(in_grid_.widened(needed, 1));
    multiply(block_.ghost1.primary, block, nullptr, in_, primary, in_grid_, around, activation_);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      pad_before(primary.plane(c) + around.begin);
      pad_before(cheap.plane(c) + in_grid_.span(needed).begin);
      convolve(block_.ghost1.cheap, channel, primary.plane(c), in_grid_, cheap.plane(c), in_grid_,
               needed, activation_);
      convolve(block_.downsample, channel, primary.plane(c), in_grid_, expanded_.plane(channel),
               out_grid_, rows_, Activation::kNone);
      convolve(block_.downsample, channel + block_.expanded / 2, cheap.plane(c), in_grid_,
               cheap_half(channel), out_grid_, rows_, Activation::kNone);
    }
  }

  // The second Ghost module and the addition of the shortcut.
  void project() {
    const Pointwise& primary = block_.ghost2.primary;
    const Range blocks = share(primary.blocks());
    for (std::ptrdiff_t i = blocks.begin; i < blocks.end; ++i) project_block(i, primary.channels(i));
  }

  void project_block(std::ptrdiff_t block, Range channels) {
    const Planes primary{scratch_.primary, out_grid_.extent()};
    const Range span = out_grid_.span(rows_);
    const Range around = out_grid_.widened(rows_, 1);
    multiply_gated(block, channels, primary, around);
    const int half = block_.out / 2;
    Planes residual[] = {in_.from(channels.begin), in_.from(channels.begin + half)};
    if (block_.has_shortcut()) {
      residual[0] = {scratch_.shortcut, out_grid_.extent()};
      residual[1] = residual[0].from(channels.size());
      for (int i = 0; i < 2; ++i) {
        multiply(block_.shortcut.halves[i], block, nullptr, shortcut_, residual[i], out_grid_, span,
                 Activation::kNone);
      }
    }
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      pad_before(primary.plane(c) + out_grid_.span(around).begin);
      add(primary.plane(c), residual[0].plane(c), out_.plane(channel), span);
      depthwise<Lanes>({primary.plane(c), out_grid_, block_.ghost2.cheap.filter(channel),
                        block_.ghost2.cheap.bias[channel], Activation::kNone,
                        residual[1].plane(c), out_.plane(channel + half), out_grid_},
                       3, 1, rows_);
    }
  }

  // The second primary convolution. The gates scale its weights rather than the feature map:
  // there are fewer of them at every resolution but the lowest.
  void multiply_gated(std::ptrdiff_t block, Range channels, Planes primary, Range rows) {
    const Pointwise& layer = block_.ghost2.primary;
    if (!block_.has_squeeze_excite()) {
      multiply(layer, block, nullptr, expanded_, primary, out_grid_, out_grid_.span(rows),
               Activation::kNone);
      return;
    }
    for (int image = 0; image < out_grid_.images; ++image) {
      const float* gates = space_.gates.vector(image);
      const float* weights = layer.block_weights(block);
      float* scaled = scratch_.scaled;
      for (int k = 0; k < layer.in; ++k) {
        for (std::ptrdiff_t n = 0; n < channels.size(); ++n) *scaled++ = *weights++ * gates[k];
      }
      const Range own = out_grid_.images == 1 ? rows : out_grid_.image_rows(image);
      multiply(layer, block, scratch_.scaled, expanded_, primary, out_grid_, out_grid_.span(own),
               Activation::kNone);
    }
  }

  // One block of a pointwise convolution, with its own weights or with those given.
  static void multiply(const Pointwise& layer, std::ptrdiff_t block, const float* weights,
                       Planes in, Planes out, const Grid& grid, Range span,
                       Activation activation) {
    const Range channels = layer.channels(block);
    const PointwiseBlock<EvenlyApart> tile{
        in.data,    {in.stride}, layer.in, weights != nullptr ? weights : layer.block_weights(block),
        layer.bias + channels.begin,
        activation, grid.valid,  out};
    pointwise<Lanes>(tile, channels.size(), span);
  }

  static void convolve(const Depthwise& layer, std::ptrdiff_t channel, const float* in,
                       const Grid& in_grid, float* out, const Grid& out_grid, Range rows,
                       Activation activation) {
    depthwise<Lanes>({in, in_grid, layer.filter(channel), layer.bias[channel], activation, nullptr,
                      out, out_grid},
                     layer.kernel, layer.stride, rows);
  }

  static void add(const float* a, const float* b, float* out, Range span) {
    for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
      store_first<Lanes>(out + p, load<Lanes>(a + p) + load<Lanes>(b + p), span.end - p);
    }
  }

  // A depthwise convolution of rows that were computed aside reads zeros before the first of them.
  static void pad_before(float* rows) { std::fill(rows - kMaxPadding, rows, 0.0F); }

  float* cheap_half(std::ptrdiff_t channel) const {
    return expanded_.plane(channel + block_.expanded / 2);
  }

  void clear_sums() {
    for (int image = 0; image < out_grid_.images; ++image) {
      std::fill_n(scratch_.sums.vector(image), Dense::padded(block_.expanded), 0.0F);
    }
  }

  void sum_block(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      sum_channel<Lanes>(expanded_.plane(c), out_grid_, rows_, c, scratch_.sums);
      sum_channel<Lanes>(cheap_half(c), out_grid_, rows_, c + block_.expanded / 2, scratch_.sums);
    }
  }

  const Bottleneck& block_;
  const Activation activation_;
  const Grid& in_grid_;
  const Grid& out_grid_;
  const Planes in_;
  const Planes out_;
  Workspace& space_;
  const Scratch& scratch_;
  const Worker worker_;
  const bool by_rows_;
  const Range rows_;
  const Planes expanded_;
  const Planes shortcut_;
};

}  // namespace ghostnet::cpu
