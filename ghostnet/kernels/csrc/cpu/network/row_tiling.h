// Cache blocking of a bottleneck: its rows are cut into row tiles, so that the planes that a
// channel tile keeps aside stay in the second-level cache.
#pragma once

#include <algorithm>
#include <cstddef>

#include "network/model.h"
#include "ops/attention.h"
#include "ops/planes.h"
#include "ops/range.h"

namespace ghostnet::cpu {

// Positions of a plane in a row tile: 12 + 12 planes of so many floats are 0.4 MB.
constexpr std::ptrdiff_t kRowTilePositions = 4096;

// The rows of input under some rows of output of a k×k convolution of stride 2.
inline Range rows_under(int kernel, const Grid& in, const Grid& out, Range rows) {
  if (out.images > 1) return in.all_rows();
  const Range doubled{rows.begin * 2, std::min<std::ptrdiff_t>(rows.end * 2 - 1, in.rows())};
  return in.with_halo(doubled, kernel / 2);
}

inline Range rows_under(const Bottleneck& block, const Grid& in, const Grid& out, Range rows) {
  return rows_under(block.kernel, in, out, rows);
}

// The rows of input under some rows of output of the depthwise convolution of either stride.
inline Range rows_filtered(const Bottleneck& block, const Grid& in, const Grid& out, Range rows) {
  return block.stride == 1 ? in.with_halo(rows, block.kernel / 2)
                           : rows_under(block, in, out, rows);
}

// Rows of output in a row tile. Several images go together only when they are small enough for one.
inline std::ptrdiff_t row_tile_height(const Bottleneck& block, const Grid& in, const Grid& out) {
  if (out.images > 1) return out.rows();
  return std::max<std::ptrdiff_t>(1, kRowTilePositions / in.width / block.stride);
}

// Rows of the input under a row tile, with the halo of the cheap operation.
inline std::ptrdiff_t input_tile_height(const Bottleneck& block, const Grid& in, const Grid& out) {
  const std::ptrdiff_t rows = std::min<std::ptrdiff_t>(out.rows(), row_tile_height(block, in, out));
  return block.stride == 1 ? rows + 2 : 2 * rows + block.kernel + 2;
}

// Positions of the same.
inline std::ptrdiff_t input_tile_positions(const Bottleneck& block, const Grid& in,
                                           const Grid& out) {
  return std::min(in.stride(), input_tile_height(block, in, out) * in.width);
}

// Positions of the gates of a row tile, with the halo of the convolution along the columns.
inline std::ptrdiff_t gate_tile_positions(const Bottleneck& block, const Grid& in, const Grid& out,
                                          const Grid& gates) {
  const std::ptrdiff_t rows = input_tile_height(block, in, out) / 2 + 2 + 2 * Strip::kHalf;
  return std::min(gates.stride(), rows * gates.width);
}

// Positions of a row tile of the output, with the halo of the cheap operation.
inline std::ptrdiff_t output_tile_positions(const Bottleneck& block, const Grid& in,
                                            const Grid& out) {
  const std::ptrdiff_t rows = row_tile_height(block, in, out) + 2;
  return std::min(out.stride(), rows * out.width);
}

}  // namespace ghostnet::cpu
