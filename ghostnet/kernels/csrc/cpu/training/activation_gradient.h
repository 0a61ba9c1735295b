// The gradients of the activations of ops/activation.h.
#pragma once

#include <type_traits>

#include "ops/activation.h"
#include "simd/vector.h"

namespace ghostnet::cpu::training {

// The gradient with respect to x, from the gradient with respect to act(x).
template <int Lanes>
inline Floats<Lanes> activation_gradient(Activation activation, Floats<Lanes> x,
                                         Floats<Lanes> gradient) {
  const Floats<Lanes> none = {};
  switch (activation) {
    case Activation::kRelu:
      return x > 0 ? gradient : none;
    case Activation::kHardSwish: {
      const Floats<Lanes> slope = (x > -3) & (x < 3) ? x * (1.0F / 6) : none;
      return gradient * (hard_sigmoid<Lanes>(x) + slope);
    }
    case Activation::kRelu6:
      return (x > 0) & (x < 6) ? gradient : none;
    default:
      return gradient;
  }
}

// Calls body(activation) with the activation as a compile-time constant.
template <class Body>
inline void with_activation(Activation activation, Body body) {
  switch (activation) {
    case Activation::kRelu:
      return body(std::integral_constant<Activation, Activation::kRelu>{});
    case Activation::kHardSwish:
      return body(std::integral_constant<Activation, Activation::kHardSwish>{});
    case Activation::kRelu6:
      return body(std::integral_constant<Activation, Activation::kRelu6>{});
    default:
      return body(std::integral_constant<Activation, Activation::kNone>{});
  }
}

}  // namespace ghostnet::cpu::training
