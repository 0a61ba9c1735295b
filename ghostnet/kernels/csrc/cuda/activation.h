// Element-wise activations. As in MindSpore, ReLU and ReLU6 turn a NaN into 0.
#pragma once

#include "float4.h"

namespace ghostnet::cuda {

enum class Activation { kNone, kRelu, kHardSwish, kHardSigmoid };

GHOSTNET_DEVICE inline float relu(float x) { return x > 0 ? x : 0; }

// relu6(x + 3) / 6
GHOSTNET_DEVICE inline float hard_sigmoid(float x) {
  const float positive = relu(x + 3);
  return (positive < 6 ? positive : 6) * (1.0F / 6);
}

GHOSTNET_DEVICE inline float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kRelu:
      return relu(x);
    case Activation::kHardSwish:
      return x * hard_sigmoid(x);
    case Activation::kHardSigmoid:
      return hard_sigmoid(x);
    default:
      return x;
  }
}

GHOSTNET_DEVICE inline Float4 activate(Activation activation, Float4 x) {
  for (int i = 0; i < 4; ++i) x[i] = activate(activation, x[i]);
  return x;
}

}  // namespace ghostnet::cuda
