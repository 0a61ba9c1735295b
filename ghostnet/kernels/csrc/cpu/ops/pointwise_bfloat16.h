// Pointwise convolution on bfloat16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/pointwise.h"
#include "ops/pointwise_packed.h"
#include "ops/range.h"
#include "simd/bfloat16.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Two channels in each lane, rounded to bfloat16; the sums are in float32.
struct Bfloat16Format {
  static constexpr int kLanes = 16;
  static constexpr int kGroup = 2;
  using Products = void;  // it has no bytes
  static constexpr bool kBeginsWithSums = false;
  using Sums = Floats<kLanes>;
  template <int Count>
  using Weights = const std::int32_t*;

  // The bias of a channel tile.
  struct Scaling {
    const float* bias;

    Scaling(const Pointwise& layer, std::ptrdiff_t first) : bias(layer.bias + first) {}

    Sums scaled(Sums sum, int channel) const { return sum + bias[channel]; }
  };

  static bool packs(const Pointwise& layer) { return layer.bfloat16_pairs != nullptr; }
  static int passes(const Pointwise&) { return 1; }
  static const std::int32_t* weights(const Pointwise& layer) { return layer.bfloat16_pairs; }

  static Bits<kLanes> pack(const Pointwise&, Range channels, const float* pixels,
                           std::ptrdiff_t stride) {
    const bool is_pair = channels.size() == kGroup;
    const Sums second = is_pair ? load<kLanes>(pixels + stride) : Sums{};
    return cpu::bfloat16_pairs(load<kLanes>(pixels), second);
  }

  static Sums add(Sums sums, Bits<kLanes> pixels, const std::int32_t& weights) {
    return add_pair_products(sums, pixels, weights);
  }
};

using Bfloat16Pointwise = PackedPointwise<Bfloat16Format>;

}  // namespace ghostnet::cpu
