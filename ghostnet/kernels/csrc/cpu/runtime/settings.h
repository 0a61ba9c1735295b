// The settings of this process.
#pragma once

#include "simd/instruction_set.h"

namespace ghostnet::cpu {

struct Settings {
  int threads;  // of one call
  InstructionSet instruction_set;
};

// By default one thread and the best instruction set of this processor.
Settings settings();
void set_threads(int threads);
void set_instruction_set(InstructionSet set);

}  // namespace ghostnet::cpu
