// The stem: 3×3 convolution with stride 2 of a picture, its batch norm folded in, and activation.
//
// The picture is cut into its phases, the planes of its even and odd rows and columns. Each of the
// 27 taps of the kernel is then a phase moved by at most one row and one column, and the
// convolution a pointwise one.
#pragma once

#include "model.h"
#include "pointwise.h"
#include "worker.h"

namespace ghostnet::cpu {

// Planes [colour][row parity][column parity], on the grid of the stem's output, each with a row of
// zeros before it.
class Phases {
 public:
  static constexpr int kPlanes = 12;

  explicit Phases(const Grid& grid)
      : lead_((grid.pitch + kMaxLanes) / kMaxLanes * kMaxLanes),
        stride_(lead_ + grid.extent()) {}

  std::ptrdiff_t size() const { return kPlanes * stride_; }
  std::ptrdiff_t lead() const { return lead_; }

  // Where the plane of a phase begins, its row of zeros excluded.
  std::ptrdiff_t begin(int colour, int row_parity, int column_parity) const {
    return ((colour * 2 + row_parity) * 2 + column_parity) * stride_ + lead_;
  }

 private:
  std::ptrdiff_t lead_;
  std::ptrdiff_t stride_;
};

// One row of one phase: every second pixel of a row of the picture, then zeros up to `end`.
template <int Lanes>
void split_row(const float* in, std::ptrdiff_t count, float* out, std::ptrdiff_t length) {
  std::ptrdiff_t column = 0;
  for (; column + Lanes < count; column += Lanes) {
    store<Lanes>(out + column, evens<Lanes>(load<Lanes>(in + 2 * column),
                                             load<Lanes>(in + 2 * column + Lanes)));
  }
  for (; column < count; ++column) out[column] = in[2 * column];
  for (; column < length; ++column) out[column] = 0;
}

// Rows `rows` of all phases of a picture, (3, height, width) row-major.
template <int Lanes>
void split_phases(const float* picture, int height, int width, const Grid& grid, Range rows,
                  float* phases) {
  const Phases layout(grid);
  for (int plane = 0; plane < Phases::kPlanes; ++plane) {
    const int colour = plane / 4;
    const int row_parity = plane / 2 % 2;
    const int column_parity = plane % 2;
    float* out = phases + layout.begin(colour, row_parity, column_parity);
    if (rows.begin == 0 && rows.size() > 0) std::fill(out - layout.lead(), out, 0.0F);
    for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
      const std::ptrdiff_t from = 2 * row + row_parity;
      const std::ptrdiff_t count = from < height ? (width + 1 - column_parity) / 2 : 0;
      const std::ptrdiff_t end = grid.span({row, row + 1}).end;
      split_row<Lanes>(picture + (std::ptrdiff_t{colour} * height + from) * width + column_parity,
                       count, out + row * grid.pitch, end - row * grid.pitch);
    }
  }
}

// Where each tap of the kernel, [colour][row][column], finds its plane among the phases.
inline void tap_offsets(const Grid& grid, std::ptrdiff_t (&offsets)[Stem::kTaps]) {
  const Phases layout(grid);
  for (int tap = 0; tap < Stem::kTaps; ++tap) {
    const int y = tap / 3 % 3;
    const int x = tap % 3;
    offsets[tap] = layout.begin(tap / 9, y != 1, x != 1) - (y == 0 ? grid.pitch : 0) - (x == 0);
  }
}

// One picture, (3, height, width), to planes on `grid`.
template <int Lanes>
void stem(const Stem& layer, Activation activation, const float* picture, int height, int width,
          const Grid& grid, float* phases, Planes out, Worker worker) {
  const Range rows = worker.share(grid.rows());
  split_phases<Lanes>(picture, height, width, grid, rows, phases);
  worker.sync();
  std::ptrdiff_t offsets[Stem::kTaps];
  tap_offsets(grid, offsets);
  const Blocks blocks{layer.taps.out, Pointwise::kBlock};
  for (int block = 0; block < blocks.count(); ++block) {
    const Range channels = blocks.block(block);
    const PointwiseBlock<Taps> tile{
        phases,      offsets,    Stem::kTaps,
        layer.taps.weights + channels.begin * Stem::kTaps,
        layer.taps.bias + channels.begin,
        activation,  grid.valid, out.from(channels.begin)};
    pointwise_block<Lanes>(tile, channels.size(), grid.span(rows));
  }
  worker.sync();
}

}  // namespace ghostnet::cpu
