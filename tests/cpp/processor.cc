// Prints the extensions of the processor, then the instruction sets that are supported.
#include "simd/processor.h"

#include <cstdio>

#include "simd/instruction_set.h"

int main() {
  std::printf("%s\n", ghostnet::cpu::extension_names().c_str());
  for (const auto set : ghostnet::cpu::supported_instruction_sets()) {
    std::printf("%s ", ghostnet::cpu::name(set));
  }
  std::printf("\n");
}
