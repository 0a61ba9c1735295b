// Products of bytes, which VNNI and the dot product of ARM add up four at a time, and others by
// pairs. The instructions of the former are written down, so that they need no option of the
// compiler and no file of their own; the caller has checked that the processor has them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/vector.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace ghostnet::cpu {

template <int Lanes>
struct IntegerTypes {
  typedef std::int16_t Pairs __attribute__((vector_size(Lanes * sizeof(float))));
  typedef std::uint8_t Bytes __attribute__((vector_size(Lanes)));
};

// Two 16-bit numbers in each lane.
template <int Lanes>
using Pairs = typename IntegerTypes<Lanes>::Pairs;

// A byte for each lane.
template <int Lanes>
using Bytes = typename IntegerTypes<Lanes>::Bytes;

// The sum of the two products of the 16-bit numbers in each lane.
template <int Lanes>
inline Bits<Lanes> pair_products(Bits<Lanes> a, Bits<Lanes> b) {
  return (a >> 16) * (b >> 16) + (a << 16 >> 16) * (b << 16 >> 16);
}

#if defined(__SSE2__)
template <>
inline Bits<4> pair_products<4>(Bits<4> a, Bits<4> b) {
  return (Bits<4>)_mm_madd_epi16((__m128i)a, (__m128i)b);
}
#endif

#if defined(__AVX2__)
template <>
inline Bits<8> pair_products<8>(Bits<8> a, Bits<8> b) {
  return (Bits<8>)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
#endif

#if defined(__AVX512BW__)
template <>
inline Bits<16> pair_products<16>(Bits<16> a, Bits<16> b) {
  return (Bits<16>)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
#endif

// The even or the odd bytes of each lane as two 16-bit numbers, unsigned or signed.
template <int Lanes>
inline Bits<Lanes> unsigned_pair(Bits<Lanes> bytes, int first) {
  return bytes >> (8 * first) & 0x00FF00FF;
}

template <int Lanes>
inline Bits<Lanes> signed_pair(Bits<Lanes> bytes, int first) {
  const Bits<Lanes> upper = first == 0 ? bytes << 8 : bytes;
  const Pairs<Lanes> pairs = reinterpret_cast<Pairs<Lanes>>(upper) >> 8;
  return reinterpret_cast<Bits<Lanes>>(pairs);
}

// Adds to each lane of `sums` the products of its four unsigned bytes in `bytes` and its four
// signed bytes in `weights`, as pairs of 16-bit numbers; exact, on any processor.
struct PairProducts {
  static constexpr bool kSignedPixels = false;

  // Four signed bytes for each of `Count` channels.
  template <int Count>
  using Weights = const std::int32_t*;

  template <int Lanes>
  static Bits<Lanes> add(Bits<Lanes> sums, Bits<Lanes> bytes, Bits<Lanes> weights) {
    for (int first = 0; first < 2; ++first) {
      sums += pair_products<Lanes>(unsigned_pair<Lanes>(bytes, first),
                                   signed_pair<Lanes>(weights, first));
    }
    return sums;
  }

  // The same with four bytes of weights for all lanes.
  template <int Lanes>
  static Bits<Lanes> add_scaled(Bits<Lanes> sums, Bits<Lanes> bytes, const std::int32_t& weights) {
    return add<Lanes>(sums, bytes, Bits<Lanes>{} + weights);
  }
};

#if defined(__x86_64__)

struct VnniProducts {
  static constexpr bool kSignedPixels = false;

  // Four signed bytes for each of `Count` channels.
  template <int Count>
  using Weights = const std::int32_t*;

  // Adds to each lane of `sums` the products of its four unsigned bytes in `bytes` and the four
  // signed bytes in `weights`.
  template <int Lanes>
  static Bits<Lanes> add(Bits<Lanes> sums, Bits<Lanes> bytes, Bits<Lanes> weights) {
    if constexpr (Lanes == 16) {
      asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(weights));
    } else {
      asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(bytes), "x"(weights));
    }
    return sums;
  }

  // The same with four bytes of weights for all lanes.
  template <int Lanes>
  static Bits<Lanes> add_scaled(Bits<Lanes> sums, Bits<Lanes> bytes, const std::int32_t& weights) {
    if constexpr (Lanes == 16) {
      asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(bytes), "m"(weights));
      return sums;
    } else {
      Bits<Lanes> copies;
      asm("vpbroadcastd %1, %0" : "=x"(copies) : "m"(weights));
      return add<Lanes>(sums, bytes, copies);
    }
  }
};

#elif defined(__aarch64__)

// Both factors are signed, so that 128 is taken from each byte of pixels; the sums begin with the
// products of what was taken.
struct DotProducts {
  static constexpr bool kSignedPixels = true;

  // A lane that holds four signed bytes of weights.
  struct Lane {
    Bits<4> vector;
    int index;
  };

  // Those of `Count` channels, a lane for each. The last load may overread.
  template <int Count>
  class Weights {
   public:
    static constexpr int kVectors = (Count + 3) / 4;

    explicit Weights(const std::int32_t* weights) {
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) vectors_[i] = load_bits<4>(weights + i * 4);
    }

    Lane operator[](int channel) const { return {vectors_[channel / 4], channel % 4}; }
    Bits<4> vector(int index) const { return vectors_[index]; }

   private:
    Bits<4> vectors_[kVectors];
  };

  // Adds to each lane of `sums` the products of its four bytes in `bytes` and those in `weights`.
  template <int Lanes>
  static Bits<4> add(Bits<4> sums, Bits<4> bytes, Bits<4> weights) {
    asm(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b"
        : "+w"(sums)
        : "w"(bytes), "w"(weights));
    return sums;
  }

  // The same with one lane of weights.
  template <int Lanes>
  static Bits<4> add_scaled(Bits<4> sums, Bits<4> bytes, const Lane& weights) {
    switch (weights.index) {
      case 0:
        return add_indexed<0>(sums, bytes, weights.vector);
      case 1:
        return add_indexed<1>(sums, bytes, weights.vector);
      case 2:
        return add_indexed<2>(sums, bytes, weights.vector);
      default:
        return add_indexed<3>(sums, bytes, weights.vector);
    }
  }

  // The products of 128 and the weights of `Count` channels in `groups` rows.
  template <int Count>
  static void products_taken(const std::int32_t* weights, std::ptrdiff_t groups,
                             std::int32_t (&products)[Count]) {
    constexpr std::uint32_t kMinus128 = 0x80808080;
    const Bits<4> taken = Bits<4>{} + static_cast<std::int32_t>(kMinus128);
    Bits<4> sums[Weights<Count>::kVectors] = {};
    for (std::ptrdiff_t group = 0; group < groups; ++group) {
      const Weights<Count> row(weights + group * Count);
      for (int i = 0; i < row.kVectors; ++i) sums[i] = add<4>(sums[i], row.vector(i), taken);
    }
    for (int n = 0; n < Count; ++n) products[n] = -sums[n / 4][n % 4];
  }

 private:
  template <int Index>
  static Bits<4> add_indexed(Bits<4> sums, Bits<4> bytes, Bits<4> weights) {
    asm(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.4b[%c3]"
        : "+w"(sums)
        : "w"(bytes), "w"(weights), "i"(Index));
    return sums;
  }
};

#endif

}  // namespace ghostnet::cpu
