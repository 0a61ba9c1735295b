// Numbers that each multiply whole vectors.
#pragma once

#include "simd/vector.h"

namespace ghostnet::cpu {

#if defined(__aarch64__)

// NEON multiplies a vector by one lane of another, so that one load and one register serve four
// numbers. The last load may overread.
template <int Count>
class Multipliers {
 public:
  explicit Multipliers(const float* values) {
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) vectors_[i] = in_register<kLanes>(load<kLanes>(values + i * kLanes));
  }

  float operator[](int index) const { return vectors_[index / kLanes][index % kLanes]; }

 private:
  static constexpr int kLanes = 4;
  static constexpr int kVectors = (Count + kLanes - 1) / kLanes;

  Floats<kLanes> vectors_[kVectors];
};

#else

// The instruction that multiplies also fills a vector with a number from memory, or the one before
// it does.
template <int Count>
using Multipliers = const float*;

#endif

}  // namespace ghostnet::cpu
