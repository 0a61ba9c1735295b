// What MindSpore sees of training: one function for each operator of ops.Custom.
#include <cstring>
#include <exception>
#include <mutex>

#include "network/engine.h"
#include "training/operators.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace ghostnet::cpu::training {

Operators current_operators() {
  const char* name = settings().instruction_set.name;
#if defined(__x86_64__)
  if (std::strcmp(name, "amx") == 0 || std::strcmp(name, "avx512") == 0) return operators<16>();
  if (std::strcmp(name, "avx2") == 0) return operators<8>();
#endif
  (void)name;
  return operators<4>();
}

namespace {

// When the first operator runs, MindSpore's compiler has left about 100 MiB of freed memory to
// malloc. They go back to the system before the maps are allocated.
void release_freed_memory() {
#if defined(__GLIBC__)
  static std::once_flag released;
  std::call_once(released, [] { malloc_trim(0); });
#endif
}

int launch(Operator Operators::*which, const Tensors& tensors) {
  release_freed_memory();
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
