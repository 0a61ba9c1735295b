// Runs a model on a batch of pictures with the threads and the instruction set that are set.
#pragma once

#include "simd/instruction_set.h"

namespace ghostnet::cpu {

struct Settings {
  int threads;
  InstructionSet instruction_set;
};

Settings settings();
void set_threads(int threads);
// False where this processor does not have it.
bool set_instruction_set(const char* name);

// (images, 3, height, width) to (images, outputs), both row-major float32.
void run(const Model& model, const float* pictures, int images, int height, int width, float* out);

}  // namespace ghostnet::cpu
