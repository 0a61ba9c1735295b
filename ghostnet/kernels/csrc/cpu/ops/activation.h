// Element-wise activations. As in MindSpore, ReLU and ReLU6 turn a NaN into 0.
#pragma once

#include "simd/vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ghostnet::cpu {

enum class Activation { kNone = 0, kRelu = 1, kHardSwish = 2, kRelu6 = 3 };

template <int Lanes>
inline Floats<Lanes> relu(Floats<Lanes> x) {
  return x > 0 ? x : Floats<Lanes>{};
}

template <int Lanes>
inline Floats<Lanes> relu6(Floats<Lanes> x) {
  const Floats<Lanes> six = broadcast<Lanes>(6);
  const Floats<Lanes> positive = relu<Lanes>(x);
  return positive < six ? positive : six;
}

#if defined(__aarch64__)
// GCC makes two and four instructions of the above. These prefer a number to a NaN.
template <>
inline Floats<4> relu<4>(Floats<4> x) {
  return vmaxnmq_f32(x, broadcast<4>(0));
}

template <>
inline Floats<4> relu6<4>(Floats<4> x) {
  return vminnmq_f32(relu<4>(x), broadcast<4>(6));
}
#endif

template <int Lanes>
inline Floats<Lanes> hard_sigmoid(Floats<Lanes> x) {
  return relu6<Lanes>(x + 3) * (1.0F / 6);
}

// 2ˣ for x from -126 to 126: the exponent of the nearest whole number, times a polynomial.
template <int Lanes>
inline Floats<Lanes> exp2(Floats<Lanes> x) {
  // A sum with 1.5 · 2²³ has no fraction, and ends in the bits of the whole number; 127 more are
  // those of its exponent.
  constexpr float kRounding = 12582912 + 127;
  const Floats<Lanes> shifted = x + broadcast<Lanes>(kRounding);
  const Floats<Lanes> t = x - (shifted - broadcast<Lanes>(kRounding));
  // The polynomial of degree 5 that is nearest in relative terms for t from -0.5 to 0.5, of those
  // that begin with 1: to within 2 · 10⁻⁷ in float32.
  Floats<Lanes> power = broadcast<Lanes>(1.3264727e-3F);
  power = power * t + 9.6715130e-3F;
  power = power * t + 5.5507336e-2F;
  power = power * t + 2.4022242e-1F;
  power = power * t + 6.9314700e-1F;
  power = power * t + 1.0F;
  const Bits<Lanes> scale = reinterpret_cast<Bits<Lanes>>(shifted) << 23;
  return power * reinterpret_cast<Floats<Lanes>>(scale);
}

// Keeps a NaN.
template <int Lanes>
inline Floats<Lanes> sigmoid(Floats<Lanes> x) {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLimit = 126;
  const Floats<Lanes> power = clamped<Lanes>(x * -kLog2E, -kLimit, kLimit);
  return 1.0F / (1.0F + exp2<Lanes>(power));
}

template <int Lanes>
inline Floats<Lanes> activate(Activation activation, Floats<Lanes> x) {
  switch (activation) {
    case Activation::kRelu:
      return relu<Lanes>(x);
    case Activation::kHardSwish:
      return x * hard_sigmoid<Lanes>(x);
    case Activation::kRelu6:
      return relu6<Lanes>(x);
    default:
      return x;
  }
}

}  // namespace ghostnet::cpu
