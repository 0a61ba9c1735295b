#include "simd/instruction_set.h"

namespace ghostnet::cpu {
namespace {

std::vector<InstructionSet> supported() {
  std::vector<InstructionSet> sets;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
#if defined(GHOSTNET_AMX)
    if (has_tiles()) sets.push_back({"amx", &forward_amx});
#endif
    sets.push_back({"avx512", &forward_avx512});
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back({"avx2", &forward_avx2});
  }
#endif
  sets.push_back({"portable", &forward_portable});
  return sets;
}

}  // namespace

const std::vector<InstructionSet>& instruction_sets() {
  static const std::vector<InstructionSet> sets = supported();
  return sets;
}

}  // namespace ghostnet::cpu
