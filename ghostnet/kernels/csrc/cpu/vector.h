// Packs of floats that the compiler keeps in one register each, written once for every
// instruction set: 16 lanes for AVX-512, 8 for AVX2, 4 for SSE2 and NEON.
//
// Everything here is a template on the number of lanes, so that code compiled for one instruction
// set can never be linked in place of code compiled for another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace ghostnet::cpu {

constexpr int kMaxLanes = 16;

template <int Lanes>
struct Pack {
  typedef float Floats __attribute__((vector_size(Lanes * sizeof(float))));
  typedef std::int32_t Bits __attribute__((vector_size(Lanes * sizeof(float))));
};

template <int Lanes>
using Floats = typename Pack<Lanes>::Floats;

template <int Lanes>
using Bits = typename Pack<Lanes>::Bits;

template <int Lanes>
inline Floats<Lanes> load(const float* from) {
  Floats<Lanes> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <int Lanes>
inline void store(float* to, Floats<Lanes> value) {
  std::memcpy(to, &value, sizeof value);
}

// Stores the first `count` lanes; `count` may exceed the number of lanes.
template <int Lanes>
inline void store_first(float* to, Floats<Lanes> value, std::ptrdiff_t count) {
  if (count >= Lanes) {
    store<Lanes>(to, value);
  } else {
    for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
  }
}

// Loads the first `count` lanes and clears the others; `count` may exceed the number of lanes.
template <int Lanes>
inline Floats<Lanes> load_first(const float* from, std::ptrdiff_t count) {
  if (count >= Lanes) return load<Lanes>(from);
  Floats<Lanes> value = {};
  for (int lane = 0; lane < count; ++lane) value[lane] = from[lane];
  return value;
}

template <int Lanes>
inline Floats<Lanes> broadcast(float value) {
  return value - Floats<Lanes>{};
}

// Keeps the lanes whose bits in `mask` are all ones and clears those whose bits are all zeros.
template <int Lanes>
inline Floats<Lanes> keep(const std::int32_t* mask, Floats<Lanes> value) {
  Bits<Lanes> bits;
  std::memcpy(&bits, mask, sizeof bits);
  return reinterpret_cast<Floats<Lanes>>(reinterpret_cast<Bits<Lanes>>(value) & bits);
}

template <int Lanes, int... Lane>
inline Floats<Lanes> every_second(Floats<Lanes> low, Floats<Lanes> high,
                                  std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(low, high, (2 * Lane)...);
}

// from[0], from[2], from[4] and so on; reads 2 × Lanes floats.
template <int Lanes>
inline Floats<Lanes> load_every_second(const float* from) {
  return every_second<Lanes>(load<Lanes>(from), load<Lanes>(from + Lanes),
                             std::make_integer_sequence<int, Lanes>{});
}

template <int Lanes>
inline float sum(Floats<Lanes> value) {
  float total = 0;
  for (int lane = 0; lane < Lanes; ++lane) total += value[lane];
  return total;
}

}  // namespace ghostnet::cpu
