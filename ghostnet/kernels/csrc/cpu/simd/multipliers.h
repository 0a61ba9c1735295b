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
    for (int i = 0; i < kVectors; ++i)
      vectors_[i] = in_register<kLanes>(load<kLanes>(values + i * kLanes));
  }

  float operator[](int index) const { return vectors_[index / kLanes][index % kLanes]; }

  // Called in each turn of a loop, keeps the compiler from filling a register with each number
  // ahead of the loop, for which there are too few registers.
  void keep_packed() {
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) vectors_[i] = in_register<kLanes>(vectors_[i]);
  }

 private:
  static constexpr int kLanes = 4;
  static constexpr int kVectors = (Count + kLanes - 1) / kLanes;

  Floats<kLanes> vectors_[kVectors];
};

// Those that multiply many vectors and stay in registers.
template <int Lanes, int Count>
using KeptMultipliers = Multipliers<Count>;

#else

// The instruction that multiplies also fills a vector with a number from memory, or the one before
// it does.
template <int Count>
using Multipliers = const float*;

template <int Lanes, int Count>
class KeptMultipliers {
 public:
  explicit KeptMultipliers(const float* values) {
#pragma GCC unroll 32
    for (int i = 0; i < Count; ++i) vectors_[i] = broadcast<Lanes>(values[i]);
  }

  const Floats<Lanes>& operator[](int index) const { return vectors_[index]; }
  void keep_packed() {}

 private:
  Floats<Lanes> vectors_[Count];
};

#endif

}  // namespace ghostnet::cpu
