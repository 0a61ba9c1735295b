// The operators of training, each for one instruction set; `interface.cc` gives them to MindSpore.
#pragma once

#include <cstdint>

#include "training/feature_maps.h"

namespace ghostnet::cpu::training {

// The inputs of an operator and after them its outputs, float32 all of them.
class Tensors {
 public:
  Tensors(int count, void** data, const int* dimensions, int64_t** shapes)
      : count_(count), data_(data), dimensions_(dimensions), shapes_(shapes) {}

  int count() const { return count_; }
  const float* in(int index) const { return static_cast<const float*>(data_[index]); }
  float* out(int index) const { return static_cast<float*>(data_[index]); }

  std::ptrdiff_t extent(int index, int dimension) const {
    return dimension < dimensions_[index] ? shapes_[index][dimension] : 1;
  }

  Shape shape(int index) const {
    return {static_cast<int>(extent(index, 0)), static_cast<int>(extent(index, 1)),
            static_cast<int>(extent(index, 2)), static_cast<int>(extent(index, 3))};
  }

  ConstMaps maps_in(int index) const { return {in(index), shape(index)}; }
  Maps maps_out(int index) const { return {out(index), shape(index)}; }

 private:
  int count_;
  void** data_;
  const int* dimensions_;
  int64_t** shapes_;
};

using Operator = void (*)(const Tensors& tensors, int threads);

// Forward operators and the gradients of each. What they take and give is said where they are
// written, in the order of the arguments.
struct Operators {
  Operator unfold;
  Operator unfold_gradient;
  Operator batch_norm;
  Operator batch_norm_gradient;
  Operator depthwise;
  Operator depthwise_gradient;
  Operator ghost;
  Operator ghost_gradient;
  Operator pointwise;
  Operator pointwise_input_gradient;
  Operator pointwise_weight_gradient;
  Operator squeeze_excite;
  Operator squeeze_excite_gradient;
};

template <int Lanes>
Operators operators();

extern template Operators operators<4>();
extern template Operators operators<8>();
extern template Operators operators<16>();

// Those of the instruction set in use.
Operators current_operators();

}  // namespace ghostnet::cpu::training
