// What Python sees: the custom operator and, through ctypes, packing and settings.
#include <exception>
#include <string>

#include "network/engine.h"

using namespace ghostnet::cpu;

#pragma GCC visibility push(default)
extern "C" {

// Pictures (images, 3, height, width) to (images, outputs). Returns 0, or 1 where plan and weights
// do not fit.
int ghostnet_forward(const float* pictures, int images, int height, int width,
                     const std::int32_t* plan, std::int64_t plan_size, const float* weights,
                     std::int64_t weights_size, float* out) {
  try {
    run(read_model(plan, plan_size, weights, weights_size), pictures, images, height, width, out);
  } catch (const std::exception&) {
    return 1;
  }
  return 0;
}

// The same as an operator of ops.Custom: pictures, plan, weights and the output.
int GhostNetForward(int count, void** data, int* dimensions, int64_t** shapes, const char**, void*,
                    void*) {
  if (count != 4 || dimensions[0] != 4) return 1;
  return ghostnet_forward(static_cast<const float*>(data[0]), static_cast<int>(shapes[0][0]),
                          static_cast<int>(shapes[0][2]), static_cast<int>(shapes[0][3]),
                          static_cast<const std::int32_t*>(data[1]), shapes[1][0],
                          static_cast<const float*>(data[2]), shapes[2][0],
                          static_cast<float*>(data[3]));
}

// Floats of a packed pointwise convolution.
std::int64_t ghostnet_pointwise_size(int out, int in) {
  return std::int64_t{out} * in + (has_tiles() ? TiledWeights::size(out, in) : 0);
}

// Packs [out][in] as `Pointwise` reads them.
void ghostnet_pack_pointwise(const float* weights, int out, int in, float* packed) {
  const Blocks blocks{out, Pointwise::kBlock};
  for (int block = 0; block < blocks.count(); ++block) {
    const Range channels = blocks.block(block);
    for (int k = 0; k < in; ++k) {
      for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) {
        *packed++ = weights[n * in + k];
      }
    }
  }
  if (has_tiles()) pack_tiles(weights, out, in, packed);
}

// Floats of a packed dense layer.
std::int64_t ghostnet_dense_size(int out, int in) { return Dense::size(out, in); }
std::int64_t ghostnet_short_dense_size(int out, int in) { return ShortDense::size(out, in); }

// Pack [out][in] as dense layers read them.
void ghostnet_pack_dense(const float* weights, int out, int in, float* packed) {
  pack_dense(weights, out, in, packed);
}
void ghostnet_pack_short_dense(const float* weights, int out, int in, float* packed) {
  pack_short_dense(weights, out, in, packed);
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
