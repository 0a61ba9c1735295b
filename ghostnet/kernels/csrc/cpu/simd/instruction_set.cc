#include "simd/instruction_set.h"

#include <cstring>

#include "simd/amx_tile.h"
#include "simd/processor.h"

namespace ghostnet::cpu {
namespace {

std::vector<InstructionSet> detect() {
  std::vector<InstructionSet> sets;
#if defined(__x86_64__)
  if (has(Extension::kAvx512f) && has(Extension::kAvx512bw) && has(Extension::kAvx512dq) &&
      has(Extension::kAvx512vl)) {
    if (amx::is_available()) sets.push_back(InstructionSet::kAmx);
    sets.push_back(InstructionSet::kAvx512);
  }
  if (has(Extension::kAvx2) && has(Extension::kFma)) sets.push_back(InstructionSet::kAvx2);
#endif
#if defined(__aarch64__)
  if (has(Extension::kDotProduct)) sets.push_back(InstructionSet::kNeonDotProduct);
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
    case InstructionSet::kNeonDotProduct:
      return "neon_dotprod";
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

bool has_vnni(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAmx:
    case InstructionSet::kAvx512:
      return has(Extension::kAvx512Vnni);
    case InstructionSet::kAvx2:
      return has(Extension::kAvxVnni);
    default:
      return false;
  }
}

bool has_bfloat16(InstructionSet set) {
  const bool is_wide = set == InstructionSet::kAvx512 || set == InstructionSet::kAmx;
  return is_wide && has(Extension::kAvx512Bf16);
}

std::optional<InstructionSet> find_instruction_set(const char* wanted) {
  for (const InstructionSet set : supported_instruction_sets()) {
    if (std::strcmp(name(set), wanted) == 0) return set;
  }
  return std::nullopt;
}

}  // namespace ghostnet::cpu
