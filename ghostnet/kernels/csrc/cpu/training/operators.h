// The operators of training, forward and backward, for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/instruction_set.h"
#include "training/feature_maps.h"

namespace ghostnet::cpu::training {

// The float32 arguments of an operator. `arguments.h` names their indices.
class Tensors {
 public:
  Tensors(int count, void** data, const int* ranks, int64_t** shapes)
      : count_(count), data_(data), ranks_(ranks), shapes_(shapes) {}

  int count() const { return count_; }
  const float* in(int index) const { return static_cast<const float*>(data_[index]); }
  float* out(int index) const { return static_cast<float*>(data_[index]); }

  // Dimensions beyond the rank have extent 1.
  std::ptrdiff_t extent(int index, int dimension) const {
    return dimension < ranks_[index] ? shapes_[index][dimension] : 1;
  }

  Shape shape(int index) const;  // not inline: the files for different instruction sets share it

  ConstFeatureMaps maps_in(int index) const { return {in(index), shape(index)}; }
  FeatureMaps maps_out(int index) const { return {out(index), shape(index)}; }

 private:
  int count_;
  void** data_;
  const int* ranks_;
  int64_t** shapes_;
};

struct Operator {
  void (*run)(const Tensors& tensors, int threads);
  int arguments;  // inputs and outputs
};

// Those of networks with parallel branches or attention. They are compiled in files of their own,
// so that the compiler inlines the others as if these did not exist.
struct BranchedOperators {
  Operator branched_depthwise;
  Operator branched_depthwise_gradient;
  Operator branched_ghost;
  Operator branched_ghost_residual;
  Operator branched_ghost_gradient;
  Operator gate;
  Operator gate_gradient;
};

struct Operators : BranchedOperators {
  Operator unfold;
  Operator unfold_gradient;
  Operator batch_norm;
  Operator batch_norm_gradient;
  Operator depthwise;
  Operator depthwise_gradient;
  Operator ghost;
  Operator ghost_residual;
  Operator ghost_gradient;
  Operator pointwise;
  Operator pointwise_input_gradient;
  Operator pointwise_weight_gradient;
  Operator squeeze_excite;
  Operator squeeze_excite_gradient;
};

template <int Lanes>
BranchedOperators branched_operators();

extern template BranchedOperators branched_operators<4>();
extern template BranchedOperators branched_operators<8>();
extern template BranchedOperators branched_operators<16>();

template <int Lanes>
Operators operators();

extern template Operators operators<4>();
extern template Operators operators<8>();
extern template Operators operators<16>();

// `set` is a supported instruction set.
Operators operators_for(InstructionSet set);

}  // namespace ghostnet::cpu::training
