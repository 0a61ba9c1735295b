// The operators of one instruction set; each `operators_*.cc` instantiates those of its own.
#pragma once

#include "training/arguments.h"
#include "training/ghost_operators.h"
#include "training/operators.h"
#include "training/pointwise_operators.h"
#include "training/squeeze_excite_operators.h"
#include "training/stem_operators.h"

namespace ghostnet::cpu::training {

template <int Lanes>
Operators operators() {
  return {branched_operators<Lanes>(),
          {&unfold<Lanes>, UnfoldArguments::kCount},
          {&unfold_gradient<Lanes>, UnfoldGradientArguments::kCount},
          {&batch_norm<Lanes>, BatchNormArguments::kCount},
          {&batch_norm_gradient<Lanes>, BatchNormGradientArguments::kCount},
          {&depthwise<Lanes>, DepthwiseArguments::kCount},
          {&depthwise_gradient<Lanes>, DepthwiseGradientArguments::kCount},
          {&ghost<Lanes, false>, GhostArguments<false>::kCount},
          {&ghost<Lanes, true>, GhostArguments<true>::kCount},
          {&ghost_gradient<Lanes>, GhostGradientArguments::kCount},
          {&pointwise<Lanes>, PointwiseArguments::kCount},
          {&pointwise_input_gradient<Lanes>, PointwiseInputGradientArguments::kCount},
          {&pointwise_weight_gradient<Lanes>, PointwiseWeightGradientArguments::kCount},
          {&squeeze_excite<Lanes>, SqueezeExciteArguments::kCount},
          {&squeeze_excite_gradient<Lanes>, SqueezeExciteGradientArguments::kCount}};
}

}  // namespace ghostnet::cpu::training
