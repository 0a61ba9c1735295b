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
