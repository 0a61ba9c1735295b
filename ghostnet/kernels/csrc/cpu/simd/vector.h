// SIMD vectors of floats, written once for every instruction set: 16 lanes with AVX-512, 8 with
// AVX2, 4 with SSE2 and NEON. The compiler keeps each vector in one register.
//
// Every function is a template on the number of lanes. Code that was compiled for one instruction
// set therefore has other symbols than code for another, and the linker cannot mix them up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ghostnet::cpu {

constexpr int kMaxLanes = 16;

// Vector registers of the processor.
#if defined(__aarch64__)
template <int Lanes>
constexpr int kVectorRegisters = 32;
#else
template <int Lanes>
constexpr int kVectorRegisters = Lanes == 16 ? 32 : 16;
#endif

template <int Lanes>
struct VectorTypes {
  typedef float Floats __attribute__((vector_size(Lanes * sizeof(float))));
  typedef std::int32_t Bits __attribute__((vector_size(Lanes * sizeof(float))));
};

template <int Lanes>
using Floats = typename VectorTypes<Lanes>::Floats;

template <int Lanes>
using Bits = typename VectorTypes<Lanes>::Bits;

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

template <int Lanes>
[[gnu::noinline, gnu::cold]] void store_part(float* to, Floats<Lanes> value, std::ptrdiff_t count) {
  for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
}

#if defined(__AVX512F__)
template <>
inline void store_part<16>(float* to, Floats<16> value, std::ptrdiff_t count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1 << count) - 1), value);
}
#elif defined(__AVX2__)
template <>
inline void store_part<8>(float* to, Floats<8> value, std::ptrdiff_t count) {
  const Bits<8> lane = {0, 1, 2, 3, 4, 5, 6, 7};
  const Bits<8> mask = lane < static_cast<std::int32_t>(count);
  _mm256_maskstore_ps(to, reinterpret_cast<__m256i>(mask), value);
}
#elif defined(__aarch64__)
// Without a call, across which no register keeps all of its lanes.
template <>
inline void store_part<4>(float* to, Floats<4> value, std::ptrdiff_t count) {
  if (count > 0) to[0] = value[0];
  if (count > 1) to[1] = value[1];
  if (count > 2) to[2] = value[2];
}
#endif

// Stores the first `count` lanes; `count` may exceed the number of lanes.
template <int Lanes>
inline void store_first(float* to, Floats<Lanes> value, std::ptrdiff_t count) {
  if (count >= Lanes) {
    store<Lanes>(to, value);
  } else {
    store_part<Lanes>(to, value, count);
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

template <int Lanes>
inline Bits<Lanes> load_bits(const std::int32_t* from) {
  Bits<Lanes> bits;
  std::memcpy(&bits, from, sizeof bits);
  return bits;
}

// Keeps the lanes whose bits in `mask` are all ones and clears those whose bits are all zeros.
template <int Lanes>
inline Floats<Lanes> keep(const std::int32_t* mask, Floats<Lanes> value) {
  const Bits<Lanes> bits = reinterpret_cast<Bits<Lanes>>(value) & load_bits<Lanes>(mask);
  return reinterpret_cast<Floats<Lanes>>(bits);
}

// Forces a value into a register. Without this, GCC loads a value that is used more than once from
// memory for each use, and a load across cache lines costs twice an arithmetic instruction.
template <int Lanes>
inline Floats<Lanes> in_register(Floats<Lanes> value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#endif
  return value;
}

// Lanes First, First + Step, First + 2 · Step, … of the lanes of `low` followed by those of `high`.
template <int Lanes, int First, int Step, int... Lane>
inline Floats<Lanes> select_lanes(Floats<Lanes> low, Floats<Lanes> high,
                                  std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(low, high, (First + Step * Lane)...);
}

// Every second lane of `low` and `high`, from lane First on, in the order in which the processor
// selects them in one instruction. AVX2 selects within each half of a vector.
template <int Lanes, int First>
inline Floats<Lanes> every_second_lane(Floats<Lanes> low, Floats<Lanes> high) {
  if constexpr (Lanes == 8) {
    return __builtin_shufflevector(low, high, First, First + 2, First + 8, First + 10, First + 4,
                                   First + 6, First + 12, First + 14);
  } else {
    return select_lanes<Lanes, First, 2>(low, high, std::make_integer_sequence<int, Lanes>{});
  }
}

// Puts the lanes of every_second_lane(), or of sums of them, in order.
template <int Lanes>
inline Floats<Lanes> in_order(Floats<Lanes> value) {
  if constexpr (Lanes == 8) {
    return __builtin_shufflevector(value, value, 0, 1, 4, 5, 2, 3, 6, 7);
  } else {
    return value;
  }
}

template <int Lanes, int First, int... Lane>
inline Floats<Lanes> interleaved_half(Floats<Lanes> even, Floats<Lanes> odd,
                                      std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(even, odd, (First + Lane / 2 + Lane % 2 * Lanes)...);
}

// The lanes of `even` and `odd` by turns, in two vectors.
template <int Lanes>
inline std::pair<Floats<Lanes>, Floats<Lanes>> interleaved(Floats<Lanes> even, Floats<Lanes> odd) {
  constexpr auto kLanes = std::make_integer_sequence<int, Lanes>{};
  return {interleaved_half<Lanes, 0>(even, odd, kLanes),
          interleaved_half<Lanes, Lanes / 2>(even, odd, kLanes)};
}

// `low` shifted down by `By` lanes; the first lanes of `high` fill the end.
template <int Lanes, int By>
inline Floats<Lanes> shifted(Floats<Lanes> low, Floats<Lanes> high) {
  return select_lanes<Lanes, By, 1>(low, high, std::make_integer_sequence<int, Lanes>{});
}

// Lanes index[0], index[1], … of `values`.
template <int Lanes>
inline Floats<Lanes> permuted(Floats<Lanes> values, Bits<Lanes> index) {
  Floats<Lanes> result;
  for (int lane = 0; lane < Lanes; ++lane) result[lane] = values[index[lane]];
  return result;
}

#if defined(__AVX512F__)
template <>
inline Floats<16> permuted<16>(Floats<16> values, Bits<16> index) {
  constexpr __mmask16 kAll = 0xFFFF;  // GCC warns about its own header without a mask
  return _mm512_maskz_permutexvar_ps(kAll, reinterpret_cast<__m512i>(index), values);
}
#elif defined(__AVX2__)
template <>
inline Floats<8> permuted<8>(Floats<8> values, Bits<8> index) {
  return _mm256_permutevar8x32_ps(values, reinterpret_cast<__m256i>(index));
}
#endif

// Limits values to a range; keeps a NaN.
template <int Lanes>
inline Floats<Lanes> clamped(Floats<Lanes> x, float low, float high) {
  x = x > high ? broadcast<Lanes>(high) : x;
  return x < low ? broadcast<Lanes>(low) : x;
}

#if defined(__AVX512F__)
// GCC makes four instructions of the above, since it does not know that these keep a NaN.
template <>
inline Floats<16> clamped<16>(Floats<16> x, float low, float high) {
  constexpr __mmask16 kAll = 0xFFFF;
  x = _mm512_maskz_min_ps(kAll, broadcast<16>(high), x);
  return _mm512_maskz_max_ps(kAll, broadcast<16>(low), x);
}
#endif

// Half a vector, followed by zeros.
template <int Lanes>
inline Floats<Lanes> zero_extended(Floats<Lanes / 2> half) {
  Floats<Lanes> value = {};
  std::memcpy(&value, &half, sizeof half);
  return value;
}

template <int Lanes, int First, int... Lane>
inline Floats<Lanes / 2> half(Floats<Lanes> value, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(value, value, (First + Lane)...);
}

// The sum of all lanes. Adding by halves gives log₂(Lanes) dependent additions instead of Lanes.
template <int Lanes>
inline float sum(Floats<Lanes> value) {
  if constexpr (Lanes == 4) {
    return (value[0] + value[2]) + (value[1] + value[3]);
  } else {
    constexpr auto kLanes = std::make_integer_sequence<int, Lanes / 2>{};
    return sum<Lanes / 2>(half<Lanes, 0>(value, kLanes) + half<Lanes, Lanes / 2>(value, kLanes));
  }
}

}  // namespace ghostnet::cpu
