// Products of bfloat16, the upper halves of float32, added up two at a time with AVX512_BF16.
#pragma once

#include <cstdint>

#include "simd/vector.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

namespace ghostnet::cpu {

#if defined(__AVX512BW__)

// Two numbers in each lane: `low` and `high`, rounded. The instructions are written down, so that
// they need no option of the compiler; the caller has checked that the processor has them.
inline Bits<16> bfloat16_pairs(Floats<16> low, Floats<16> high) {
  const __m512i order =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                       23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  __m512i rounded;
  asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(rounded) : "v"(high), "v"(low));
  return (Bits<16>)_mm512_permutexvar_epi16(order, rounded);
}

// Adds to each lane of `sums` the products of its pair in `pairs` and the pair `weights`.
inline Floats<16> add_pair_products(Floats<16> sums, Bits<16> pairs, const std::int32_t& weights) {
  asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(pairs), "m"(weights));
  return sums;
}

#endif

}  // namespace ghostnet::cpu
