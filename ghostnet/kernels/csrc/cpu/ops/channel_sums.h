// Sums over the pixels of a channel, from which squeeze-excite and the head take means.
#pragma once

#include <array>
#include <cstddef>

#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// kMaxLanes sums, in as many vectors as they take, so that every instruction set adds in one order.
template <int Lanes>
class LaneSums {
 public:
  // Adds the first `count` values; `count` may exceed kMaxLanes.
  void add(const float* values, std::ptrdiff_t count = kMaxLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sums_[v] += load_first<Lanes>(values + v * Lanes, count - v * Lanes);
    }
  }

  LaneSums operator+(LaneSums other) const {
    for (int v = 0; v < kVectors; ++v) other.sums_[v] += sums_[v];
    return other;
  }

  float total() const {
    auto sums = sums_;
    for (int half = kVectors / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) sums[v] += sums[v + half];
    }
    return sum<Lanes>(sums[0]);
  }

 private:
  static constexpr int kVectors = kMaxLanes / Lanes;

  std::array<Floats<Lanes>, kVectors> sums_{};
};

// The sum of a span of a plane.
template <int Lanes>
float span_sum(const float* plane, Range span) {
  LaneSums<Lanes> sums[4];  // four independent chains of additions
  std::ptrdiff_t p = span.begin;
  for (; p + 4 * kMaxLanes <= span.end; p += 4 * kMaxLanes) {
    for (int i = 0; i < 4; ++i) sums[i].add(plane + p + i * kMaxLanes);
  }
  for (; p + kMaxLanes <= span.end; p += kMaxLanes) sums[0].add(plane + p);
  if (p < span.end) sums[1].add(plane + p, span.end - p);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])).total();
}

// Writes element `channel` of every image's row of `sums`.
template <int Lanes>
void sum_images(const float* plane, const Grid& grid, std::ptrdiff_t channel, ChannelRows sums) {
  for (int image = 0; image < grid.images; ++image) {
    sums.row(image)[channel] = span_sum<Lanes>(plane, grid.span(grid.image_rows(image)));
  }
}

}  // namespace ghostnet::cpu
