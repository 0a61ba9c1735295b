// Products of bytes, which VNNI adds up four at a time.
#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace ghostnet::cpu {

#if defined(__x86_64__)

// Adds to each lane of `sums` the products of its four unsigned bytes in `bytes` and the four
// signed bytes in `weights`. The instruction is written down, so that it needs no option of the
// compiler and no file of its own; the caller has checked that the processor has it.
template <int Lanes>
inline Bits<Lanes> add_products(Bits<Lanes> sums, Bits<Lanes> bytes, const std::int32_t& weights);

template <>
inline Bits<8> add_products<8>(Bits<8> sums, Bits<8> bytes, const std::int32_t& weights) {
  Bits<8> copies;
  asm("vpbroadcastd %1, %0" : "=x"(copies) : "m"(weights));
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(bytes), "x"(copies));
  return sums;
}

#if defined(__AVX512F__)
template <>
inline Bits<16> add_products<16>(Bits<16> sums, Bits<16> bytes, const std::int32_t& weights) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(bytes), "m"(weights));
  return sums;
}
#endif

#endif

}  // namespace ghostnet::cpu
