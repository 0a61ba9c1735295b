#include "network/dispatch.h"

#include "network/model.h"

namespace ghostnet::cpu {

namespace {

Forward float_forward_for(InstructionSet set) {
  switch (set) {
#if defined(__x86_64__)
#if defined(GHOSTNET_AMX)
    case InstructionSet::kAmx:
      return &forward_amx;
#endif
    case InstructionSet::kAvx512:
      return &forward_avx512;
    case InstructionSet::kAvx2:
      return &forward_avx2;
#endif
    default:
#if defined(__aarch64__)
      return &forward_neon;
#else
      return &forward_portable;
#endif
  }
}

// Null where the instruction set has no int8 kernels.
Forward int8_forward_for([[maybe_unused]] InstructionSet set) {
#if defined(__x86_64__)
  if (has_vnni(set)) {
    return set == InstructionSet::kAvx2 ? &forward_avx2_int8 : &forward_avx512_int8;
  }
#elif defined(__aarch64__)
  if (set == InstructionSet::kNeonDotProduct) return &forward_neon_int8;
#endif
  return nullptr;
}

}  // namespace

Forward forward_for(InstructionSet set, Precision precision) {
  return precision == Precision::kInt8 ? int8_forward_for(set) : float_forward_for(set);
}

}  // namespace ghostnet::cpu
