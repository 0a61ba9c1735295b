// The stem: 3×3 convolution with stride 2 of a picture, its batch norm folded in, and activation.
//
// The picture is cut into its phases, the planes of its even and odd rows under each column of the
// kernel. Each of the 27 taps of the kernel is then a phase moved by at most one row, and the
// convolution a pointwise one. That is done for a few rows at a time, so that their phases stay in
// the first-level cache.
#pragma once

#include "network/model.h"
#include "ops/pointwise.h"
#include "runtime/thread_team.h"

namespace ghostnet::cpu {

// Planes [colour][row parity][kernel column] of some rows of the stem's output, each with a row
// before them.
class Phases {
 public:
  static constexpr int kPlanes = 18;

  explicit Phases(const Grid& grid)
      : rows_(std::clamp<std::ptrdiff_t>(kPositions / grid.width, 1, grid.rows())),
        stride_(padded_size((rows_ + 1) * grid.width)) {}

  std::ptrdiff_t rows() const { return rows_; }
  std::ptrdiff_t size() const { return kPlanes * stride_; }

  // Where the row before the first begins, in the plane of a phase.
  std::ptrdiff_t begin(int colour, int row_parity, int x) const {
    return ((colour * 2 + row_parity) * 3 + x) * stride_;
  }

 private:
  // 18 planes of so many floats are a first-level cache of 32 KB.
  static constexpr std::ptrdiff_t kPositions = 460;

  // Odd in cache lines, so that the planes of a position are not all in one set of the cache.
  static std::ptrdiff_t padded_size(std::ptrdiff_t positions) {
    return (positions + 2 * kMaxLanes - 1) / (2 * kMaxLanes) * (2 * kMaxLanes) + kMaxLanes;
  }

  std::ptrdiff_t rows_;
  std::ptrdiff_t stride_;
};

// One row of one phase: the pixels of every second column from `first` on, or zeros where there are
// none. A column before the first is zero, too.
template <int Lanes>
void split_row(const float* in, int width, int first, float* out, int columns) {
  int column = 0;
  if (first < 0) out[column++] = 0;
  for (; first + 2 * (column + Lanes) <= width; column += Lanes) {
    const float* const from = in + first + 2 * column;
    store<Lanes>(out + column, evens<Lanes>(load<Lanes>(from), load<Lanes>(from + Lanes)));
  }
  for (; column < columns; ++column) {
    const int from = first + 2 * column;
    out[column] = from < width ? in[from] : 0;
  }
}

// The phases of some rows of output, and of the row before them.
template <int Lanes>
void split_phases(const float* picture, int height, int width, const Grid& grid,
                  const Phases& layout, Range rows, float* phases) {
  for (int plane = 0; plane < Phases::kPlanes; ++plane) {
    const int colour = plane / 6;
    const int row_parity = plane / 3 % 2;
    const int x = plane % 3;
    float* out = phases + layout.begin(colour, row_parity, x);
    for (std::ptrdiff_t row = rows.begin - 1; row < rows.end; ++row, out += grid.width) {
      const std::ptrdiff_t from = 2 * row + row_parity;
      const bool inside = from >= 0 && from < height;
      const float* in = picture + (std::ptrdiff_t{colour} * height + (inside ? from : 0)) * width;
      split_row<Lanes>(in, inside ? width : 0, x - 1, out, grid.width);
    }
  }
}

// Where each tap of the kernel, [colour][row][column], finds its plane among the phases.
inline void tap_offsets(const Grid& grid, const Phases& layout,
                        std::ptrdiff_t (&offsets)[Stem::kTaps]) {
  for (int tap = 0; tap < Stem::kTaps; ++tap) {
    const int y = tap / 3 % 3;
    const int x = tap % 3;
    offsets[tap] = layout.begin(tap / 9, y != 1, x) + (y == 0 ? 0 : grid.width);
  }
}

// One picture, (3, height, width), to planes on `grid`.
template <int Lanes>
void stem(const Stem& layer, Activation activation, const float* picture, int height, int width,
          const Grid& grid, Planes out, Workspace& space, Worker worker) {
  float* const phases = space.threads[worker.rank].phases;
  const Phases layout(grid);
  std::ptrdiff_t offsets[Stem::kTaps];
  tap_offsets(grid, layout, offsets);
  const Blocks blocks{layer.taps.out, Pointwise::kBlock};
  const Range own = worker.share(grid.rows());
  for (std::ptrdiff_t row = own.begin; row < own.end; row += layout.rows()) {
    const Range rows{row, std::min(own.end, row + layout.rows())};
    const Range span = grid.span(rows);
    split_phases<Lanes>(picture, height, width, grid, layout, rows, phases);
    for (int block = 0; block < blocks.count(); ++block) {
      const Range channels = blocks.block(block);
      const PointwiseBlock<Taps> tile{
          phases - span.begin, offsets,    Stem::kTaps,
          layer.taps.weights + channels.begin * Stem::kTaps,
          layer.taps.bias + channels.begin,
          activation,          out.from(channels.begin), &space.threads[worker.rank].ahead};
      pointwise_block<Lanes>(tile, channels.size(), span);
    }
  }
  worker.sync();
}

}  // namespace ghostnet::cpu
