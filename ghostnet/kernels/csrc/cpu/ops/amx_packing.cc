#include "ops/amx_packing.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "simd/rounding.h"

namespace ghostnet::cpu {
namespace {

std::uint16_t to_bfloat16(float value) {
  return static_cast<std::uint16_t>(rounded_bits(value, 16) >> 16);
}

float from_bfloat16(std::uint16_t half) {
  const std::uint32_t bits = std::uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Writes one row of an AMX tile's weights for every chunk. `first` points to the row in the first
// chunk's high part; `part_bytes` are from part to part.
void pack_channel(const float* weights, int in, char* first, std::ptrdiff_t part_bytes) {
  for (int k = 0; k < in; ++k) {
    const std::uint16_t high = to_bfloat16(weights[k]);
    const std::uint16_t parts[] = {high, to_bfloat16(weights[k] - from_bfloat16(high))};
    for (int part = 0; part < 2; ++part) {
      char* const row = first + (k / amx::kTileDepth * 2 + part) * part_bytes;
      std::memcpy(row + k % amx::kTileDepth * sizeof high, &parts[part], sizeof high);
    }
  }
}

}  // namespace

void pack_amx_weights(const float* weights, int out, int in, float* packed) {
  std::fill_n(packed, AmxWeights::size(out, in), 0.0F);
  char* const bytes = reinterpret_cast<char*>(packed);
  const ChannelTiles tiles = AmxWeights::tiles_of(out);
  for (int tile = 0; tile < tiles.count(); ++tile) {
    const Range channels = tiles.tile(tile);
    const std::ptrdiff_t first = AmxWeights::offset(channels, amx_chunks(in), 0, 0);
    for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) {
      pack_channel(weights + n * in, in, bytes + first + (n - channels.begin) * amx::kTileRowBytes,
                   channels.size() * amx::kTileRowBytes);
    }
  }
}

}  // namespace ghostnet::cpu
