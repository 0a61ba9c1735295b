// Element-wise activations. As in MindSpore, ReLU and ReLU6 turn a NaN into 0.
#pragma once

#include "simd/vector.h"

namespace ghostnet::cpu {

enum class Activation { kNone = 0, kRelu = 1, kHardSwish = 2 };

template <int Lanes>
inline Floats<Lanes> relu(Floats<Lanes> x) {
  return x > 0 ? x : Floats<Lanes>{};
}

// relu6(x + 3) / 6
template <int Lanes>
inline Floats<Lanes> hard_sigmoid(Floats<Lanes> x) {
  const Floats<Lanes> six = broadcast<Lanes>(6);
  const Floats<Lanes> positive = relu<Lanes>(x + 3);
  return (positive < six ? positive : six) * (1.0F / 6);
}

template <int Lanes>
inline Floats<Lanes> activate(Activation activation, Floats<Lanes> x) {
  switch (activation) {
    case Activation::kRelu:
      return relu<Lanes>(x);
    case Activation::kHardSwish:
      return x * hard_sigmoid<Lanes>(x);
    default:
      return x;
  }
}

}  // namespace ghostnet::cpu
