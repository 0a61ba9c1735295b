// The C API of training: one function for each operator of ops.Custom.
#include <cstdint>
#include <exception>
#include <mutex>

#include "runtime/settings.h"
#include "training/operators.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace ghostnet::cpu::training {
namespace {

// MindSpore's compiler leaves about 100 MiB of freed memory to malloc. Before the first operator
// runs, they go back to the system, so that the maps do not add to them.
void release_freed_memory() {
#if defined(__GLIBC__)
  static std::once_flag released;
  std::call_once(released, [] { malloc_trim(0); });
#endif
}

int launch(Operator Operators::* which, const Tensors& tensors) {
  release_freed_memory();
  const Settings now = settings();
  const Operator chosen = operators_for(now.instruction_set).*which;
  if (tensors.count() != chosen.arguments) return 1;
  try {
    chosen.run(tensors, now.threads);
  } catch (const std::exception&) {
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace ghostnet::cpu::training

// Returns 0, or 1 for a wrong number of arguments or where memory ran out.
#define GHOSTNET_OPERATOR(symbol, which)                                                  \
  extern "C" __attribute__((visibility("default"))) int symbol(                           \
      int count, void** data, int* ranks, int64_t** shapes, const char**, void*, void*) { \
    using namespace ghostnet::cpu::training;                                              \
    return launch(&Operators::which, Tensors(count, data, ranks, shapes));                \
  }

GHOSTNET_OPERATOR(GhostNetUnfold, unfold)
GHOSTNET_OPERATOR(GhostNetUnfoldGradient, unfold_gradient)
GHOSTNET_OPERATOR(GhostNetBatchNorm, batch_norm)
GHOSTNET_OPERATOR(GhostNetBatchNormGradient, batch_norm_gradient)
GHOSTNET_OPERATOR(GhostNetDepthwise, depthwise)
GHOSTNET_OPERATOR(GhostNetDepthwiseGradient, depthwise_gradient)
GHOSTNET_OPERATOR(GhostNetGhost, ghost)
GHOSTNET_OPERATOR(GhostNetGhostResidual, ghost_residual)
GHOSTNET_OPERATOR(GhostNetGhostGradient, ghost_gradient)
GHOSTNET_OPERATOR(GhostNetBranchedDepthwise, branched_depthwise)
GHOSTNET_OPERATOR(GhostNetBranchedDepthwiseGradient, branched_depthwise_gradient)
GHOSTNET_OPERATOR(GhostNetBranchedGhost, branched_ghost)
GHOSTNET_OPERATOR(GhostNetBranchedGhostResidual, branched_ghost_residual)
GHOSTNET_OPERATOR(GhostNetBranchedGhostGradient, branched_ghost_gradient)
GHOSTNET_OPERATOR(GhostNetGate, gate)
GHOSTNET_OPERATOR(GhostNetGateGradient, gate_gradient)
GHOSTNET_OPERATOR(GhostNetPointwise, pointwise)
GHOSTNET_OPERATOR(GhostNetPointwiseInputGradient, pointwise_input_gradient)
GHOSTNET_OPERATOR(GhostNetPointwiseWeightGradient, pointwise_weight_gradient)
GHOSTNET_OPERATOR(GhostNetSqueezeExcite, squeeze_excite)
GHOSTNET_OPERATOR(GhostNetSqueezeExciteGradient, squeeze_excite_gradient)
