// One Ghost bottleneck, from planes to planes.
//
// A Ghost module's cheap operation and the depthwise convolutions after it need nothing but their
// own channel, so a block of channels goes through all of them while it is in the cache: the
// expanded feature map exists only at the block's output size. A team that shares a block by rows
// computes the rows of the expanded map that meet another thread's twice, rather than hand them over.
#pragma once

#include "network/feature_maps.h"
#include "network/model.h"
#include "ops/squeeze_excite.h"
#include "runtime/thread_team.h"
#include "network/workspace.h"

namespace ghostnet::cpu {

// One block at work, as one thread of the team sees it.
template <class Product>
class BottleneckTask {
  static constexpr int Lanes = Product::kLanes;

 public:
  BottleneckTask(const Bottleneck& block, Activation activation, const Grid& in_grid,
                 const Grid& out_grid, Planes in, Planes out, const Upcoming& next,
                 Workspace& space, Worker worker)
      : block_(block),
        activation_(activation),
        in_grid_(in_grid),
        out_grid_(out_grid),
        in_(in),
        out_(out),
        next_(next),
        space_(space),
        own_(space.threads[worker.rank]),
        ahead_(space.threads[worker.rank].ahead),
        worker_(worker),
        expansion_(Product::blocks(block.ghost1.primary)),
        projection_(Product::blocks(block.ghost2.primary)),
        product_(own_.product, ahead_),
        shortcut_product_(own_.shortcut_product, ahead_),
        by_rows_(shared_by_rows(out_grid, worker.size)),
        rows_(by_rows_ ? worker.share(out_grid.rows()) : out_grid.all_rows()),
        expanded_rows_(by_rows_ ? out_grid.widened(rows_, 1) : rows_),
        expanded_(by_rows_ ? partial_planes(own_.expanded, out_grid.span(expanded_rows_))
                           : Planes{space.expanded, out_grid.extent()}),
        shortcut_(by_rows_ ? partial_planes(own_.shortcut, out_grid.span(rows_))
                           : Planes{space.shortcut, out_grid.extent()}) {}

  void run() {
    expand();
    if (block_.has_squeeze_excite()) {
      worker_.sync();
      squeeze_excite<Lanes>(block_.squeeze_excite, out_grid_, space_, worker_);
      gate_channels(expansion_.channels(share(expansion_.count())));
    }
    if (!by_rows_) worker_.sync();
    ahead_.aim(next_);
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
    const Range blocks = share(expansion_.count());
    const std::ptrdiff_t height = strip_height(block_, in_grid_, out_grid_);
    const Range rows = expanded_rows_;
    for (std::ptrdiff_t row = rows.begin; row < rows.end; row += height) {
      expand_strip(blocks, {row, std::min(rows.end, row + height)});
    }
    if (in_place()) make_cheap(expansion_.channels(blocks));
    if (block_.has_squeeze_excite()) sum_channels(expansion_.channels(blocks));
    if (block_.has_shortcut()) {
      const Range channels = share(block_.in);
      for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
        convolve(block_.shortcut.depthwise, c, in_.plane(c), in_grid_, shortcut_.plane(c),
                 out_grid_, rows_, Activation::kNone);
      }
    }
  }

  // A thread alone computes the primary planes of a block of stride 1 where they belong.
  bool in_place() const { return block_.stride == 1 && worker_.size == 1; }

  void expand_strip(Range blocks, Range rows) {
    const Range needed =
        block_.stride == 1 ? rows : rows_under(block_, in_grid_, out_grid_, rows);
    const Range around = in_grid_.span(in_place() ? needed : in_grid_.widened(needed, 1));
    product_.read(block_.ghost1.primary, in_, around);
    for (std::ptrdiff_t i = blocks.begin; i < blocks.end; ++i) {
      const Range channels = expansion_.block(i);
      if (in_place()) {
        product_.write(block_.ghost1.primary, channels, activation_,
                       expanded_.from(channels.begin));
      } else if (block_.stride == 1) {
        expand_aside(channels, rows, around);
      } else {
        expand_and_downsample(channels, rows, needed, around);
      }
    }
  }

  void make_cheap(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      convolve(block_.ghost1.cheap, c, expanded_.plane(c), in_grid_, cheap_half(c), in_grid_, rows_,
               activation_);
    }
  }

  // Stride 1, a team: primary planes are computed aside, with the rows next to this thread's own,
  // so that no thread reads what another is writing.
  void expand_aside(Range channels, Range rows, Range around) {
    const Range span = in_grid_.span(rows);
    const Planes primary = partial_planes(own_.block_primary, around);
    product_.write(block_.ghost1.primary, channels, activation_, primary);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      std::memcpy(expanded_.plane(channel) + span.begin, primary.plane(c) + span.begin,
                  span.size() * sizeof(float));
      convolve(block_.ghost1.cheap, channel, primary.plane(c), in_grid_, cheap_half(channel),
               in_grid_, rows, activation_);
    }
  }

  // Stride 2: both halves of the Ghost module stay aside, only their downsampling is kept.
  void expand_and_downsample(Range channels, Range rows, Range needed, Range around) {
    const Planes primary = partial_planes(own_.block_primary, around);
    float* const cheap = partial_planes(own_.cheap, around).data;
    product_.write(block_.ghost1.primary, channels, activation_, primary);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      convolve(block_.ghost1.cheap, channel, primary.plane(c), in_grid_, cheap, in_grid_, needed,
               activation_);
      convolve(block_.downsample, channel, primary.plane(c), in_grid_, expanded_.plane(channel),
               out_grid_, rows, Activation::kNone);
      convolve(block_.downsample, channel + block_.expanded / 2, cheap, in_grid_,
               cheap_half(channel), out_grid_, rows, Activation::kNone);
    }
  }

  // The second Ghost module and the addition of the shortcut.
  void project() {
    const Range blocks = share(projection_.count());
    const std::ptrdiff_t height = strip_height(block_, in_grid_, out_grid_);
    for (std::ptrdiff_t row = rows_.begin; row < rows_.end; row += height) {
      const Range rows{row, std::min(rows_.end, row + height)};
      const Range around = out_grid_.span(out_grid_.widened(rows, 1));
      product_.read(block_.ghost2.primary, expanded_, around);
      if (block_.has_shortcut()) {
        shortcut_product_.read(block_.shortcut.halves[0], shortcut_, out_grid_.span(rows));
      }
      for (std::ptrdiff_t i = blocks.begin; i < blocks.end; ++i) {
        project_block(projection_.block(i), rows, around);
      }
    }
  }

  void project_block(Range channels, Range rows, Range around) {
    const Range span = out_grid_.span(rows);
    const Planes primary = partial_planes(own_.block_primary, around);
    product_.write(block_.ghost2.primary, channels, Activation::kNone, primary);
    const int half = block_.out / 2;
    Planes residual[] = {in_.from(channels.begin), in_.from(channels.begin + half)};
    if (block_.has_shortcut()) {
      residual[0] = partial_planes(own_.block_shortcut, span);
      residual[1] = residual[0].from(channels.size());
      for (int i = 0; i < 2; ++i) {
        shortcut_product_.write(block_.shortcut.halves[i], channels, Activation::kNone,
                                residual[i]);
      }
    }
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const std::ptrdiff_t channel = channels.begin + c;
      add(primary.plane(c), residual[0].plane(c), out_.plane(channel), span);
      depthwise<Lanes>({primary.plane(c), out_grid_, block_.ghost2.cheap.filter(channel),
                        block_.ghost2.cheap.bias[channel], Activation::kNone,
                        residual[1].plane(c), out_.plane(channel + half), out_grid_},
                       3, 1, rows);
    }
  }

  static void convolve(const Depthwise& layer, std::ptrdiff_t channel, const float* in,
                       const Grid& in_grid, float* out, const Grid& out_grid, Range rows,
                       Activation activation) {
    depthwise<Lanes>({in, in_grid, layer.filter(channel), layer.bias[channel], activation, nullptr,
                      out, out_grid},
                     layer.kernel, layer.stride, rows);
  }

  static void scale(float* values, Range span, float factor) {
    for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
      store_first<Lanes>(values + p, load<Lanes>(values + p) * factor, span.end - p);
    }
  }

  static void add(const float* a, const float* b, float* out, Range span) {
    for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
      store_first<Lanes>(out + p, load<Lanes>(a + p) + load<Lanes>(b + p), span.end - p);
    }
  }

  float* cheap_half(std::ptrdiff_t channel) const {
    return expanded_.plane(channel + block_.expanded / 2);
  }

  void clear_sums() {
    for (int image = 0; image < out_grid_.images; ++image) {
      std::fill_n(own_.sums.vector(image), padded(block_.expanded), 0.0F);
    }
  }

  void sum_channels(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      sum_channel<Lanes>(expanded_.plane(c), out_grid_, rows_, c, own_.sums);
      sum_channel<Lanes>(cheap_half(c), out_grid_, rows_, c + block_.expanded / 2, own_.sums);
    }
  }

  void gate_channels(Range channels) {
    for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
      for (int image = 0; image < out_grid_.images; ++image) {
        const float* gates = space_.gates.vector(image);
        const Range rows =
            out_grid_.images == 1 ? expanded_rows_ : out_grid_.image_rows(image);
        scale(expanded_.plane(c), out_grid_.span(rows), gates[c]);
        scale(cheap_half(c), out_grid_.span(rows), gates[c + block_.expanded / 2]);
      }
    }
  }

  const Bottleneck& block_;
  const Activation activation_;
  const Grid& in_grid_;
  const Grid& out_grid_;
  const Planes in_;
  const Planes out_;
  const Upcoming next_;  // dense layers after this block's
  Workspace& space_;
  const ThreadSpace& own_;
  Ahead& ahead_;
  const Worker worker_;
  const Blocks expansion_;
  const Blocks projection_;
  Product product_;
  Product shortcut_product_;
  const bool by_rows_;
  const Range rows_;
  const Range expanded_rows_;  // with the rows that the second cheap operation reads
  const Planes expanded_;
  const Planes shortcut_;
};

}  // namespace ghostnet::cpu
