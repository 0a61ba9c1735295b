// Weights and pixels as the processor's matrix unit (AMX) multiplies them.
//
// The unit multiplies bfloat16 and adds in float32. A float32 is the sum of two bfloat16 to within
// 2⁻¹⁷ of itself: `high`, which it is rounded to, and `low`, which the difference is rounded to. So
// a product of two float32 is high · high + high · low + low · high, and low · low is left out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/planes.h"

namespace ghostnet::cpu {

struct Tiles {
  static constexpr int kBlock = 32;    // output channels that share what is loaded of the input
  static constexpr int kRows = 16;     // of a tile
  static constexpr int kBytes = 64;    // of a row: 16 floats or 32 bfloat16
  static constexpr int kDepth = 32;    // input channels that one instruction adds up
  static constexpr int kFloats = kRows * kBytes / sizeof(float);

  // Floats of the tiles of so many planes with so many positions, split into parts.
  static constexpr std::ptrdiff_t size(std::ptrdiff_t depth, std::ptrdiff_t positions) {
    return (positions + kRows - 1) / kRows * chunks(depth) * 2 * kFloats;
  }

  static constexpr std::ptrdiff_t chunks(std::ptrdiff_t depth) {
    return (depth + kDepth - 1) / kDepth;
  }
};

// The weights of a pointwise convolution: blocks of output channels one after the other, each
// [chunk of 32 inputs][high, low][output][32]. A tile is 16 outputs from any on, so there is memory
// for 15 more behind the last.
struct TiledWeights {
  const float* data;

  // As many floats as the weights take.
  static constexpr std::ptrdiff_t size(int out, int in) {
    return (Tiles::chunks(in) * 2 * out + Tiles::kRows - 1) * Tiles::kBytes / sizeof(float);
  }

  // The weights of the block of outputs `block` for one chunk, in bytes from the first.
  static std::ptrdiff_t offset(Range block, std::ptrdiff_t chunks, std::ptrdiff_t chunk, int part) {
    return ((block.begin * chunks + chunk * block.size()) * 2 + part * block.size()) *
           Tiles::kBytes;
  }
};

// Whether this processor has the unit and the system lets this process use it.
bool has_tiles();

// [out][in] float32 to `TiledWeights`.
void pack_tiles(const float* weights, int out, int in, float* packed);

}  // namespace ghostnet::cpu
