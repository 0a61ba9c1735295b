// How a block's rows are cut into strips, so that the planes that it keeps aside stay in the cache.
#pragma once

#include "network/model.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

// Positions of a plane in a strip: 12 + 12 planes of so many floats are 0.4 MB.
constexpr std::ptrdiff_t kStripPositions = 4096;

// The rows of input that the depthwise convolution of stride 2 needs for some rows of output.
inline Range rows_under(const Bottleneck& block, const Grid& in, const Grid& out, Range rows) {
  if (out.images > 1) return in.all_rows();
  const Range doubled{rows.begin * 2, std::min<std::ptrdiff_t>(rows.end * 2 - 1, in.rows())};
  return in.widened(doubled, block.kernel / 2);
}

// Rows of output in one strip. Several pictures are small enough to be one.
inline std::ptrdiff_t strip_height(const Bottleneck& block, const Grid& in, const Grid& out) {
  if (out.images > 1) return out.rows();
  return std::max<std::ptrdiff_t>(1, kStripPositions / in.width / block.stride);
}

// Positions of the largest plane that a block keeps aside.
inline std::ptrdiff_t strip_positions(const Bottleneck& block, const Grid& in, const Grid& out) {
  const Range rows{0, std::min<std::ptrdiff_t>(out.rows(), strip_height(block, in, out))};
  const std::ptrdiff_t under = block.stride == 1 ? rows.size() + 2
                                                 : 2 * rows.size() + block.kernel + 2;
  return std::min(in.extent(), under * in.width);
}

// Positions of a strip of the output, with a row more on each side.
inline std::ptrdiff_t out_strip_positions(const Bottleneck& block, const Grid& in,
                                          const Grid& out) {
  const std::ptrdiff_t rows = strip_height(block, in, out) + 2;
  return std::min(out.extent(), rows * out.width);
}

}  // namespace ghostnet::cpu
