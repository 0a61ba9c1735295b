// Sums over the pixels of a channel, from which squeeze-excite and the head take means.
#pragma once

#include "ops/dense.h"
#include "ops/planes.h"

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
  float total = sum<Lanes>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; p < span.end; ++p) total += plane[p];
  return total;
}

// Writes element `channel` of every image's row of `sums`: the sum over `rows` where the grid has
// one image, else over the image.
template <int Lanes>
void sum_channel(const float* plane, const Grid& grid, Range rows, std::ptrdiff_t channel,
                 ChannelRows sums) {
  for (int image = 0; image < grid.images; ++image) {
    const Range own = grid.images == 1 ? rows : grid.image_rows(image);
    sums.row(image)[channel] = span_sum<Lanes>(plane, grid.span(own));
  }
}

}  // namespace ghostnet::cpu
