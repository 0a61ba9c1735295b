#include "simd/instruction_set.h"

#include <cstring>

#include "simd/amx_tile.h"

namespace ghostnet::cpu {
namespace {

std::vector<InstructionSet> detect() {
  std::vector<InstructionSet> sets;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    if (amx::is_available()) sets.push_back(InstructionSet::kAmx);
    sets.push_back(InstructionSet::kAvx512);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back(InstructionSet::kAvx2);
  }
#endif
#if defined(__aarch64__)
  sets.push_back(InstructionSet::kNeon);
#else
  sets.push_back(InstructionSet::kPortable);
#endif
  return sets;
}

}  // namespace

const char* name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAmx:
      return "amx";
    case InstructionSet::kAvx512:
      return "avx512";
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kNeon:
      return "neon";
    default:
      return "portable";
  }
}

const std::vector<InstructionSet>& supported_instruction_sets() {
  static const std::vector<InstructionSet> sets = detect();
  return sets;
}

bool has_vnni([[maybe_unused]] InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx2) return __builtin_cpu_supports("avxvnni");
  if (set != InstructionSet::kPortable) return __builtin_cpu_supports("avx512vnni");
#endif
  return false;
}

std::optional<InstructionSet> find_instruction_set(const char* wanted) {
  for (const InstructionSet set : supported_instruction_sets()) {
    if (std::strcmp(name(set), wanted) == 0) return set;
  }
  return std::nullopt;
}

}  // namespace ghostnet::cpu
