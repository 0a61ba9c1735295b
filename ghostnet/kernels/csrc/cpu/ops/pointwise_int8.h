// Pointwise convolution on 8 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ops/int8_packing.h"
#include "ops/pointwise.h"
#include "ops/pointwise_packed.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Four channels in each lane, rounded to bytes. `ByteProducts` is VnniProducts, DotProducts or
// PairProducts.
template <int Lanes, class ByteProducts>
struct Int8Format {
  static constexpr int kLanes = Lanes;
  static constexpr int kGroup = Int8Weights::kGroup;
  static constexpr bool kBeginsWithSums = ByteProducts::kSignedPixels;
  // Of the dense layers of quantized networks, which take unsigned pixels.
  using Products = std::conditional_t<ByteProducts::kSignedPixels, void, ByteProducts>;
  using Sums = Bits<Lanes>;
  template <int Count>
  using Weights = typename ByteProducts::template Weights<Count>;

  // The steps and the bias of a channel tile.
  struct Scaling {
    const float* steps;
    const float* bias;

    Scaling(const Pointwise& layer, std::ptrdiff_t first)
        : steps(layer.int8_weights.steps + first), bias(layer.bias + first) {}

    Floats<Lanes> scaled(Sums sum, int channel) const {
      return cpu::scaled<Lanes>(__builtin_convertvector(sum, Floats<Lanes>), steps[channel],
                                bias[channel]);
    }
  };

  static bool packs(const Pointwise& layer) { return layer.int8_weights.groups != nullptr; }
  static int passes(const Pointwise& layer) { return layer.int8_weights.passes; }
  static const std::int32_t* weights(const Pointwise& layer) { return layer.int8_weights.groups; }

  static Bits<Lanes> pack(const Pointwise& layer, Range channels, const float* pixels,
                          std::ptrdiff_t stride) {
    const Int8Weights& weights = layer.int8_weights;
    Bits<Lanes> bytes = {};
    for (std::ptrdiff_t k = channels.begin; k < channels.end; ++k, pixels += stride) {
      const auto steps = to_steps<Lanes>(load<Lanes>(pixels), weights.scales[k], weights.zeros[k]);
      bytes |= steps << static_cast<int>(8 * (k - channels.begin));
    }
    constexpr std::uint32_t kSignBits = 0x80808080;
    return ByteProducts::kSignedPixels ? bytes ^ static_cast<std::int32_t>(kSignBits) : bytes;
  }

  // What the sums of a channel tile begin with, where pixels are signed.
  template <int Count>
  static void first_sums(const std::int32_t* weights, std::ptrdiff_t groups,
                         std::int32_t (&sums)[Count]) {
    ByteProducts::products_taken(weights, groups, sums);
  }

  template <class Weight>
  static Sums add(Sums sums, Bits<Lanes> pixels, const Weight& weights) {
    return ByteProducts::template add_scaled<Lanes>(sums, pixels, weights);
  }
};

template <int Lanes, class ByteProducts>
using Int8Pointwise = PackedPointwise<Int8Format<Lanes, ByteProducts>>;

}  // namespace ghostnet::cpu
