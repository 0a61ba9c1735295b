#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ops/amx_packing.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "simd/amx_tile.h"
#include "simd/rounding.h"

namespace ghostnet::cpu {

std::ptrdiff_t pointwise_size(int out, int in) {
  return std::ptrdiff_t{out} * in + (amx::is_available() ? AmxWeights::size(out, in) : 0);
}

void pack_pointwise(const float* weights, int out, int in, float* packed) {
  const ChannelTiles tiles = Pointwise::tiles_of(out);
  for (int tile = 0; tile < tiles.count(); ++tile) {
    const Range channels = tiles.tile(tile);
    for (int k = 0; k < in; ++k) {
      for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) {
        *packed++ = weights[n * in + k];
      }
    }
  }
  if (amx::is_available()) pack_amx_weights(weights, out, in, packed);
}

void pack_bfloat16(const float* weights, int out, int in, float* packed) {
  const ChannelTiles tiles = Pointwise::tiles_of(out);
  for (int tile = 0; tile < tiles.count(); ++tile) {
    const Range channels = tiles.tile(tile);
    for (int k = 0; k < in; k += 2) {
      for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) {
        const float* const pair = weights + n * in + k;
        const std::uint32_t high = k + 1 < in ? rounded_bits(pair[1], 16) : 0;
        const std::uint32_t bits = high | rounded_bits(pair[0], 16) >> 16;
        std::memcpy(packed++, &bits, sizeof bits);
      }
    }
  }
}

}  // namespace ghostnet::cpu
