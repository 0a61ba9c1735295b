// The instruction sets that the kernels are compiled for.
#pragma once

#include <optional>
#include <vector>

namespace ghostnet::cpu {

enum class InstructionSet { kPortable, kNeon, kNeonDotProduct, kAvx2, kAvx512, kAmx };

const char* name(InstructionSet set);

// Those that this processor and this build have, best first. The last is kNeon on ARM and
// kPortable elsewhere, which every processor has.
const std::vector<InstructionSet>& supported_instruction_sets();

// Whether this processor has VNNI, which multiplies bytes, on the vectors of an instruction set.
bool has_vnni(InstructionSet set);

// Whether it has AVX512_BF16, which multiplies bfloat16, on the vectors of an instruction set.
bool has_bfloat16(InstructionSet set);

// The supported instruction set of that name.
std::optional<InstructionSet> find_instruction_set(const char* name);

}  // namespace ghostnet::cpu
