// What Python sees: the custom operator and, through ctypes, packing and settings.
#include <exception>
#include <string>

#include "engine.h"

using namespace ghostnet::cpu;

#pragma GCC visibility push(default)
extern "C" {

// The operator of ops.Custom: pictures (n, 3, height, width) float32, plan int32, weights float32,
// and the output (n, outputs) float32. Returns 0, or 1 where plan and weights do not fit.
int GhostNetForward(int count, void** data, int* dimensions, int64_t** shapes, const char**, void*,
                    void*) {
  if (count != 4 || dimensions[0] != 4) return 1;
  try {
    const Model model =
        read_model(static_cast<const std::int32_t*>(data[1]), shapes[1][0],
                   static_cast<const float*>(data[2]), shapes[2][0]);
    run(model, static_cast<const float*>(data[0]), static_cast<int>(shapes[0][0]),
        static_cast<int>(shapes[0][2]), static_cast<int>(shapes[0][3]),
        static_cast<float*>(data[3]));
  } catch (const std::exception&) {
    return 1;
  }
  return 0;
}

// Packs [out][in] into the blocks that `Pointwise` reads, as many floats.
void ghostnet_pack_pointwise(const float* weights, int out, int in, float* packed) {
  const Pointwise layer{in, out, packed, nullptr};
  for (int block = 0; block < layer.blocks(); ++block) {
    const Range channels = layer.channels(block);
    for (int k = 0; k < in; ++k) {
      for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) *packed++ = weights[n * in + k];
    }
  }
}

void ghostnet_set_threads(int threads) { set_threads(threads); }

int ghostnet_threads() { return settings().threads; }

// 0, or 1 where this processor does not have it.
int ghostnet_set_instruction_set(const char* name) { return set_instruction_set(name) ? 0 : 1; }

const char* ghostnet_instruction_set() { return settings().instruction_set.name; }

// The names of the instruction sets of this processor, best first, with spaces between.
const char* ghostnet_instruction_sets() {
  static const std::string names = [] {
    std::string joined;
    for (const InstructionSet& set : instruction_sets()) joined.append(set.name).append(" ");
    return joined;
  }();
  return names.c_str();
}

}  // extern "C"
#pragma GCC visibility pop
