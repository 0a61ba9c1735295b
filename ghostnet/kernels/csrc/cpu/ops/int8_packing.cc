#include "ops/int8_packing.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/pointwise.h"
#include "ops/range.h"

namespace ghostnet::cpu {
namespace {

constexpr float kLargestByte = 255;
constexpr float kLargestWeight = 127;

// The range of a channel that is always 0.
constexpr float kSmallestRange = 1e-20F;

// Writes weight(output, input) for each weight of a layer, in the order of its groups.
template <class Weight>
void pack_groups(int out, int in, float* packed, Weight weight) {
  auto* next = reinterpret_cast<std::int8_t*>(packed);
  const ChannelTiles tiles = Pointwise::tiles_of(out);
  for (int tile = 0; tile < tiles.count(); ++tile) {
    const Range channels = tiles.tile(tile);
    for (int group = 0; group < in; group += Int8Weights::kGroup) {
      for (std::ptrdiff_t n = channels.begin; n < channels.end; ++n) {
        for (int k = group; k < group + Int8Weights::kGroup; ++k) {
          *next++ = static_cast<std::int8_t>(weight(n, k));
        }
      }
    }
  }
}

}  // namespace

void pack_int8_weights(const float* weights, int out, int in, InputRanges ranges, float* packed,
                       float* bias) {
  float* const scales = packed;
  float* const zeros = scales + in;
  float* const steps = zeros + in;
  for (int k = 0; k < in; ++k) {
    const float range = std::max(ranges.high[k] - ranges.low[k], kSmallestRange);
    scales[k] = kLargestByte / range;
    zeros[k] = -ranges.low[k] * scales[k] + 0.5F;
  }
  const auto scaled = [&](std::ptrdiff_t n, int k) { return weights[n * in + k] / scales[k]; };
  for (std::ptrdiff_t n = 0; n < out; ++n) {
    float largest = kSmallestRange;
    for (int k = 0; k < in; ++k) largest = std::max(largest, std::abs(scaled(n, k)));
    steps[n] = largest / kLargestWeight;
  }
  pack_groups(out, in, steps + out, [&](std::ptrdiff_t n, int k) {
    const float rounded = std::nearbyint(scaled(n, k) / steps[n]);
    // A weight that is not finite makes the bias a NaN, and so the output.
    bias[n] -= steps[n] * rounded * (zeros[k] - 0.5F);
    return std::isnan(rounded) ? 0 : rounded;
  });
}

void pack_bytes(const float* weights, int out, int in, float* packed) {
  pack_groups(out, in, packed, [&](std::ptrdiff_t n, int k) { return weights[n * in + k]; });
}

}  // namespace ghostnet::cpu
