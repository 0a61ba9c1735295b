// Loops over contiguous floats: whole vectors first, then the remaining floats one by one. Bodies
// are generic lambdas whose first parameter is the number of lanes as a type, so that one body
// serves for both.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include "simd/vector.h"

namespace ghostnet::cpu::training {

template <int Lanes>
using LaneCount = std::integral_constant<int, Lanes>;

// body(lanes, i) for every vector of `lanes` floats that begins at i.
template <int Lanes, class Body>
inline void for_each_vector(std::ptrdiff_t count, Body body) {
  std::ptrdiff_t i = 0;
  for (; i + Lanes <= count; i += Lanes) body(LaneCount<Lanes>{}, i);
  for (; i < count; ++i) body(LaneCount<1>{}, i);
}

// y += x
template <int Lanes>
void add(const float* x, std::ptrdiff_t size, float* y) {
  for_each_vector<Lanes>(size, [x, y](auto lanes, std::ptrdiff_t i) {
    store<lanes>(y + i, load<lanes>(y + i) + load<lanes>(x + i));
  });
}

// Like for_each_vector(), but the last vector overlaps the one before it. `Width` is that of the
// vectors, narrower than `Lanes` where there are fewer floats.
template <int Lanes, int Width = Lanes, class Body>
inline void for_each_overlapping(std::ptrdiff_t count, Body body) {
  if (count >= Width) {
    for (std::ptrdiff_t i = 0; i + Width < count; i += Width) body(LaneCount<Width>{}, i);
    body(LaneCount<Width>{}, count - Width);
  } else if constexpr (Width > 1) {
    for_each_overlapping<Lanes, Width / 2>(count, body);
  }
}

template <int Lanes, int Count>
using Terms = std::array<Floats<Lanes>, Count>;

// `Count` sums at once: terms(lanes, i) gives the terms of each sum for the vector at i. Even and
// odd vectors have sums of their own, because a single chain of additions would wait for each one.
template <int Lanes, int Count, class Body>
inline std::array<float, Count> sum_terms(std::ptrdiff_t count, Body terms) {
  Terms<Lanes, Count> even = {};
  Terms<Lanes, Count> odd = {};
  std::ptrdiff_t i = 0;
  const auto add = [&](Terms<Lanes, Count>& sums) {
    const Terms<Lanes, Count> more = terms(LaneCount<Lanes>{}, i);
    for (int n = 0; n < Count; ++n) sums[n] += more[n];
    i += Lanes;
  };
  while (i + 2 * Lanes <= count) {
    add(even);
    add(odd);
  }
  if (i + Lanes <= count) add(even);
  std::array<float, Count> totals;
  for (int n = 0; n < Count; ++n) totals[n] = sum<Lanes>(even[n] + odd[n]);
  for (; i < count; ++i) {
    const Terms<1, Count> last = terms(LaneCount<1>{}, i);
    for (int n = 0; n < Count; ++n) totals[n] += last[n][0];
  }
  return totals;
}

// Σ terms(lanes, i)
template <int Lanes, class Body>
inline float sum_vectors(std::ptrdiff_t count, Body terms) {
  return sum_terms<Lanes, 1>(
      count, [&](auto lanes, std::ptrdiff_t i) { return Terms<lanes, 1>{terms(lanes, i)}; })[0];
}

}  // namespace ghostnet::cpu::training
