// Passes over contiguous floats: whole packs first, then the rest one by one, by the same code.
#pragma once

#include <array>
#include <type_traits>

#include "simd/vector.h"

namespace ghostnet::cpu::training {

template <int Lanes>
using Width = std::integral_constant<int, Lanes>;

// body(width, i) for every pack of `width` floats that begins at i.
template <int Lanes, class Body>
inline void for_packs(std::ptrdiff_t count, Body body) {
  std::ptrdiff_t i = 0;
  for (; i + Lanes <= count; i += Lanes) body(Width<Lanes>{}, i);
  for (; i < count; ++i) body(Width<1>{}, i);
}

template <int Lanes, int Count>
using Terms = std::array<Floats<Lanes>, Count>;

// The sums of the `Count` packs that terms(width, i) gives for every pack.
template <int Lanes, int Count, class Body>
inline std::array<float, Count> sums_over(std::ptrdiff_t count, Body terms) {
  Terms<Lanes, Count> even = {};
  Terms<Lanes, Count> odd = {};
  std::ptrdiff_t i = 0;
  const auto add = [&](Terms<Lanes, Count>& sums) {
    const Terms<Lanes, Count> more = terms(Width<Lanes>{}, i);
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
    const Terms<1, Count> last = terms(Width<1>{}, i);
    for (int n = 0; n < Count; ++n) totals[n] += last[n][0];
  }
  return totals;
}

}  // namespace ghostnet::cpu::training
