// The activations of ../activation.h for the backward pass.
#pragma once

#include <type_traits>

#include "ops/activation.h"

namespace ghostnet::cpu::training {

// `gradient` of act(x), carried back to x.
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
    default:
      return gradient;
  }
}

// body(activation) with the activation known to the compiler.
template <class Body>
inline void with_activation(Activation activation, Body body) {
  switch (activation) {
    case Activation::kRelu:
      return body(std::integral_constant<Activation, Activation::kRelu>{});
    case Activation::kHardSwish:
      return body(std::integral_constant<Activation, Activation::kHardSwish>{});
    default:
      return body(std::integral_constant<Activation, Activation::kNone>{});
  }
}

}  // namespace ghostnet::cpu::training
