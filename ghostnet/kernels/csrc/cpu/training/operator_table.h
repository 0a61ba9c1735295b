// The table of one instruction set; each `operators_*.cc` is compiled for its own.
#pragma once

#include "training/ghost_operators.h"
#include "training/pointwise_operators.h"
#include "training/squeeze_excite_operators.h"
#include "training/stem_operators.h"

namespace ghostnet::cpu::training {

template <int Lanes>
void depthwise(const Tensors& t, int threads) {
  const bool small = t.extent(1, 2) == 3;
  small ? depthwise_unit<Lanes, 3>(t, threads) : depthwise_unit<Lanes, 5>(t, threads);
}

template <int Lanes>
void depthwise_gradient(const Tensors& t, int threads) {
  const bool small = t.extent(2, 2) == 3;
  small ? depthwise_unit_gradient<Lanes, 3>(t, threads)
        : depthwise_unit_gradient<Lanes, 5>(t, threads);
}

template <int Lanes>
Operators operators() {
  return {&unfold<Lanes>,
          &unfold_gradient<Lanes>,
          &batch_norm<Lanes>,
          &batch_norm_gradient<Lanes>,
          &depthwise<Lanes>,
          &depthwise_gradient<Lanes>,
          &ghost<Lanes>,
          &ghost_gradient<Lanes>,
          &pointwise<Lanes>,
          &pointwise_input_gradient<Lanes>,
          &pointwise_weight_gradient<Lanes>,
          &squeeze_excite<Lanes>,
          &squeeze_excite_gradient<Lanes>};
}

}  // namespace ghostnet::cpu::training
