// Sums over the pixels of a channel, from which squeeze-excite and the head take means.
#pragma once

#include <cstddef>

#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// The sum of a span of a plane.
template <int Lanes>
float span_sum(const float* plane, Range span) {
  Floats<Lanes> sums[4] = {};  // four independent chains of additions
  std::ptrdiff_t p = span.begin;
  for (; p + 4 * Lanes <= span.end; p += 4 * Lanes) {
    for (int i = 0; i < 4; ++i) sums[i] += load<Lanes>(plane + p + i * Lanes);
  }
  for (; p + Lanes <= span.end; p += Lanes) sums[0] += load<Lanes>(plane + p);
  if (p < span.end) sums[1] += load_first<Lanes>(plane + p, span.end - p);
  return sum<Lanes>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Writes element `channel` of every image's row of `sums`.
template <int Lanes>
void sum_images(const float* plane, const Grid& grid, std::ptrdiff_t channel, ChannelRows sums) {
  for (int image = 0; image < grid.images; ++image) {
    sums.row(image)[channel] = span_sum<Lanes>(plane, grid.span(grid.image_rows(image)));
  }
}

}  // namespace ghostnet::cpu
