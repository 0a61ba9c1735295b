// The layout of weights and pixels for AMX.
//
// AMX multiplies bfloat16 and adds in float32. A float32 is the sum of two bfloat16 to within 2⁻¹⁷
// of itself: `high` is the float32 rounded to bfloat16, `low` is the difference rounded likewise. A
// product of two float32 becomes high · high + high · low + low · high; low · low is negligible.
#pragma once

#include <cstddef>

#include "ops/range.h"
#include "simd/amx_tile.h"

namespace ghostnet::cpu {

// Input channels are multiplied in chunks of the depth of an AMX tile; the last is zero-padded.
constexpr std::ptrdiff_t amx_chunks(std::ptrdiff_t depth) {
  return (depth + amx::kTileDepth - 1) / amx::kTileDepth;
}

// Floats of `depth` planes of so many positions, split into high and low parts.
constexpr std::ptrdiff_t amx_input_size(std::ptrdiff_t depth, std::ptrdiff_t positions) {
  return (positions + amx::kTileRows - 1) / amx::kTileRows * amx_chunks(depth) * 2 *
         amx::kTileFloats;
}

// The weights of a pointwise convolution: one channel tile after the other, each
// [chunk of 32 inputs][high, low][output channel][32]. An AMX tile is any 16 consecutive output
// channels, so 15 rows of padding follow the last channel.
struct AmxWeights {
  static constexpr int kChannelTile = 32;

  const float* data;

  static ChannelTiles tiles_of(int out) { return {out, kChannelTile}; }

  // In floats, padding included.
  static constexpr std::ptrdiff_t size(int out, int in) {
    return (amx_chunks(in) * 2 * out + amx::kTileRows - 1) * amx::kTileRowBytes / sizeof(float);
  }

  // Where the weights of a channel tile for one chunk begin, in bytes; part 0 is high, 1 is low.
  static std::ptrdiff_t offset(Range channels, std::ptrdiff_t chunks, std::ptrdiff_t chunk,
                               int part) {
    return ((channels.begin * chunks + chunk * channels.size()) * 2 + part * channels.size()) *
           amx::kTileRowBytes;
  }
};

// Packs weights [out][in].
void pack_amx_weights(const float* weights, int out, int in, float* packed);

}  // namespace ghostnet::cpu
