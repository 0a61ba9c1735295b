// The branched operators of one instruction set; each `branched_operators_*.cc` instantiates those
// of its own.
#pragma once

#include "training/arguments.h"
#include "training/branched_operators.h"
#include "training/gate_operators.h"
#include "training/operators.h"

namespace ghostnet::cpu::training {

template <int Lanes>
BranchedOperators branched_operators() {
  return {{&branched_depthwise<Lanes>, DepthwiseArguments::kCount},
          {&branched_depthwise_gradient<Lanes>, DepthwiseGradientArguments::kCount},
          {&branched_ghost<Lanes, false>, GhostArguments<false>::kCount},
          {&branched_ghost<Lanes, true>, GhostArguments<true>::kCount},
          {&branched_ghost_gradient<Lanes>, GhostGradientArguments::kCount},
          {&gate<Lanes>, GateArguments::kCount},
          {&gate_gradient<Lanes>, GateGradientArguments::kCount}};
}

}  // namespace ghostnet::cpu::training
