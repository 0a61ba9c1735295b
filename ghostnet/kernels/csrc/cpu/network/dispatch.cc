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

// Null where the instruction set has no dot products of bytes.
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

Forward quantized_forward_for(InstructionSet set) {
  if (has_vnni(set)) return int8_forward_for(set);
  switch (set) {
#if defined(__x86_64__)
    case InstructionSet::kAmx:
    case InstructionSet::kAvx512:
      return &forward_avx512_quantized;
    case InstructionSet::kAvx2:
      return &forward_avx2_quantized;
#endif
    default:
#if defined(__aarch64__)
      return &forward_neon_quantized;
#else
      return &forward_portable_quantized;
#endif
  }
}

// Null where the instruction set has no products of bfloat16.
Forward bfloat16_forward_for([[maybe_unused]] InstructionSet set) {
#if defined(__x86_64__)
  if (has_bfloat16(set)) return &forward_avx512_bfloat16;
#endif
  return nullptr;
}

}  // namespace

Forward forward_for(InstructionSet set, Precision precision) {
  switch (precision) {
    case Precision::kInt8:
      return int8_forward_for(set);
    case Precision::kBfloat16:
      return bfloat16_forward_for(set);
    case Precision::kQuantized:
      return quantized_forward_for(set);
    default:
      return float_forward_for(set);
  }
}

}  // namespace ghostnet::cpu
