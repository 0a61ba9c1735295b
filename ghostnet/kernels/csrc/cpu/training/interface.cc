// What MindSpore sees of training: one function for each operator of ops.Custom.
#include <cstring>
#include <exception>

#include "engine.h"
#include "operators.h"

namespace ghostnet::cpu::training {

Operators current_operators() {
  const char* name = settings().instruction_set.name;
#if defined(__x86_64__)
  if (std::strcmp(name, "avx512") == 0) return operators<16>();
  if (std::strcmp(name, "avx2") == 0) return operators<8>();
#endif
  (void)name;
  return operators<4>();
}

namespace {

int launch(Operator Operators::*which, const Tensors& tensors) {
  try {
    (current_operators().*which)(tensors, settings().threads);
  } catch (const std::exception&) {
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace ghostnet::cpu::training

// Returns 0, or 1 where memory ran out.
#define GHOSTNET_OPERATOR(symbol, which)                                                  \
  extern "C" __attribute__((visibility("default"))) int symbol(                           \
      int count, void** data, int* dimensions, int64_t** shapes, const char**, void*,     \
      void*) {                                                                            \
    using namespace ghostnet::cpu::training;                                              \
    return launch(&Operators::which, Tensors(count, data, dimensions, shapes));           \
  }

GHOSTNET_OPERATOR(GhostNetUnfold, unfold)
GHOSTNET_OPERATOR(GhostNetUnfoldGradient, unfold_gradient)
GHOSTNET_OPERATOR(GhostNetBatchNorm, batch_norm)
GHOSTNET_OPERATOR(GhostNetBatchNormGradient, batch_norm_gradient)
GHOSTNET_OPERATOR(GhostNetDepthwise, depthwise)
GHOSTNET_OPERATOR(GhostNetDepthwiseGradient, depthwise_gradient)
GHOSTNET_OPERATOR(GhostNetGhost, ghost)
GHOSTNET_OPERATOR(GhostNetGhostResidual, ghost)
GHOSTNET_OPERATOR(GhostNetGhostGradient, ghost_gradient)
GHOSTNET_OPERATOR(GhostNetPointwise, pointwise)
GHOSTNET_OPERATOR(GhostNetPointwiseInputGradient, pointwise_input_gradient)
GHOSTNET_OPERATOR(GhostNetPointwiseWeightGradient, pointwise_weight_gradient)
GHOSTNET_OPERATOR(GhostNetSqueezeExcite, squeeze_excite)
GHOSTNET_OPERATOR(GhostNetSqueezeExciteGradient, squeeze_excite_gradient)
