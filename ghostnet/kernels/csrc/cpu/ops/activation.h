// Element-wise activations. As in MindSpore, ReLU and ReLU6 turn a NaN into 0.
#pragma once

#include "simd/vector.h"

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
  // The Taylor polynomial, to within 2 · 10⁻⁷ for t from -0.5 to 0.5.
  Floats<Lanes> power = broadcast<Lanes>(1.5403530e-4F);
  power = power * t + 1.3333558e-3F;
  power = power * t + 9.6181291e-3F;
  power = power * t + 5.5504109e-2F;
  power = power * t + 2.4022651e-1F;
  power = power * t + 6.9314718e-1F;
  power = power * t + 1.0F;
  const Bits<Lanes> scale = reinterpret_cast<Bits<Lanes>>(shifted) << 23;
  return power * reinterpret_cast<Floats<Lanes>>(scale);
}

// Keeps a NaN.
template <int Lanes>
inline Floats<Lanes> sigmoid(Floats<Lanes> x) {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLimit = 126;
  Floats<Lanes> power = x * -kLog2E;
  power = power > kLimit ? broadcast<Lanes>(kLimit) : power;
  power = power < -kLimit ? broadcast<Lanes>(-kLimit) : power;
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
