#include "network/dispatch.h"

namespace ghostnet::cpu {

Forward forward_for(InstructionSet set) {
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
      return &forward_portable;
  }
}

}  // namespace ghostnet::cpu
