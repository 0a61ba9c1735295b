// Pointwise convolution on 8 bits, with the dot products of bytes that a processor has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "ops/activation.h"
#include "ops/int8_packing.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "simd/dot_product.h"
#include "simd/prefetch.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// A pointwise convolution on 8 bits where the layer has such weights, else on floats. set_input()
// rounds the planes to bytes, in vectors of positions and groups of four channels; compute() then
// multiplies them by the weights of one channel tile. `ByteProducts` is VnniProducts or
// DotProducts.
template <int Lanes, class ByteProducts>
class Int8Pointwise {
 public:
  static constexpr int kLanes = Lanes;

  // `scratch` has room for a byte of each pixel.
  Int8Pointwise(float* scratch, Prefetcher& prefetcher)
      : scratch_(reinterpret_cast<std::int32_t*>(scratch)),
        prefetcher_(&prefetcher),
        floats_(nullptr, prefetcher) {}

  static ChannelTiles tiles(const Pointwise& layer) { return Pointwise::tiles_of(layer.out); }

  // `layer` is the layer to compute, or another one with the same inputs and as many outputs.
  void set_input(const Pointwise& layer, Planes in, Range span) {
    if (!layer.is_int8()) return floats_.set_input(layer, in, span);
    span_ = span;
    groups_ = layer.in / Int8Weights::kGroup;
    for (std::ptrdiff_t vector = 0; vector < vectors(); ++vector) {
      const float* const pixels = in.data + span.begin + vector * Lanes;
      for (int group = 0; group < groups_; ++group) {
        const int first = group * Int8Weights::kGroup;
        const Bits<Lanes> bytes =
            round_group(layer.int8_weights, first, pixels + first * in.stride, in.stride);
        std::memcpy(bytes_of(vector) + group * Lanes, &bytes, sizeof bytes);
      }
    }
  }

  // `channels` is a channel tile, and `out` begins with its first channel.
  void compute(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    if (!layer.is_int8()) return floats_.compute(layer, channels, activation, out);
    static constexpr auto kTiles =
        channel_tiles(std::make_integer_sequence<int, Pointwise::kChannelTile>{});
    const Int8Weights& weights = layer.int8_weights;
    const Target target{weights.groups + channels.begin * groups_,
                        nullptr,
                        weights.steps + channels.begin,
                        layer.bias + channels.begin,
                        activation,
                        out};
    (this->*kTiles[channels.size() - 1])(target);
  }

 private:
  struct Target {
    const std::int32_t* weights;  // [group][channel of the tile]
    const std::int32_t* sums;     // with which each channel begins, where pixels are signed
    const float* steps;
    const float* bias;
    Activation activation;
    Planes out;
  };

  std::ptrdiff_t vectors() const { return (span_.size() + Lanes - 1) / Lanes; }

  // The bytes of a vector of positions: for each group, one lane of four bytes for each position.
  std::int32_t* bytes_of(std::ptrdiff_t vector) const {
    return scratch_ + vector * groups_ * Lanes;
  }

  static Bits<Lanes> round_group(const Int8Weights& weights, int first, const float* pixels,
                                 std::ptrdiff_t stride) {
    Bits<Lanes> bytes = {};
    for (int i = 0; i < Int8Weights::kGroup; ++i) {
      const Floats<Lanes> x = load<Lanes>(pixels + i * stride);
      bytes |= rounded(x * weights.scales[first + i] + weights.zeros[first + i]) << (8 * i);
    }
    constexpr std::uint32_t kSignBits = 0x80808080;
    return ByteProducts::kSignedPixels ? bytes ^ static_cast<std::int32_t>(kSignBits) : bytes;
  }

  // To whole numbers from 0 to 255; the half that makes truncation round is added already.
  static Bits<Lanes> rounded(Floats<Lanes> x) {
    const Floats<Lanes> largest = broadcast<Lanes>(255);
    const Floats<Lanes> positive = relu<Lanes>(x);
    return __builtin_convertvector(positive < largest ? positive : largest, Bits<Lanes>);
  }

  template <int Channels>
  void channel_tile(const Target& shared) const {
    Target target = shared;
    std::int32_t sums[Channels];
    if constexpr (ByteProducts::kSignedPixels) {
      ByteProducts::products_taken(target.weights, groups_, sums);
      target.sums = sums;
    }
    constexpr int kVectors = RegisterTile<Lanes>::vectors(Channels);
    std::ptrdiff_t vector = 0;
    for (; vector + kVectors <= vectors(); vector += kVectors) {
      register_tiles<Channels, kVectors>(target, vector);
    }
    for (; vector < vectors(); ++vector) register_tiles<Channels, 1>(target, vector);
  }

  template <int... Index>
  static constexpr auto channel_tiles(std::integer_sequence<int, Index...>) {
    return std::array{&Int8Pointwise::channel_tile<Index + 1>...};
  }

  template <int TileChannels, int Vectors>
  void register_tiles(const Target& target, std::ptrdiff_t vector) const {
    constexpr int kFirst = RegisterTile<Lanes>::channels(TileChannels);
    register_tile<TileChannels, 0, kFirst, Vectors>(target, vector);
    if constexpr (kFirst < TileChannels) {
      register_tile<TileChannels, kFirst, TileChannels - kFirst, Vectors>(target, vector);
    }
  }

  // Computes some vectors of positions of the channels of a tile from `First` on.
  template <int TileChannels, int First, int Channels, int Vectors>
  void register_tile(const Target& target, std::ptrdiff_t vector) const {
    Bits<Lanes> sums[Channels][Vectors] = {};
    if constexpr (ByteProducts::kSignedPixels) {
#pragma GCC unroll 16
      for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) sums[n][v] += target.sums[First + n];
      }
    }
    const std::int32_t* weights = target.weights + First;
    const std::int32_t* bytes = bytes_of(vector);
    const CacheLines lines = prefetcher_->take(groups_);
    for (int group = 0; group < groups_; ++group, weights += TileChannels, bytes += Lanes) {
      lines.prefetch(group);
      prefetch_weights(weights);
      Bits<Lanes> pixels[Vectors];
      for (int v = 0; v < Vectors; ++v) pixels[v] = load_bits<Lanes>(bytes + v * groups_ * Lanes);
      const typename ByteProducts::template Weights<Channels> factors(weights);
#pragma GCC unroll 16
      for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) {
          sums[n][v] = ByteProducts::template add_scaled<Lanes>(sums[n][v], pixels[v], factors[n]);
        }
      }
    }
    const std::ptrdiff_t position = span_.begin + vector * Lanes;
#pragma GCC unroll 16
    for (int n = 0; n < Channels; ++n) {
      float* const row = target.out.plane(First + n) + position;
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        const Floats<Lanes> sum =
            __builtin_convertvector(sums[n][v], Floats<Lanes>) * target.steps[First + n] +
            target.bias[First + n];
        store_first<Lanes>(row + v * Lanes, activate<Lanes>(target.activation, sum),
                           span_.end - position - v * Lanes);
      }
    }
  }

  std::int32_t* scratch_;
  Prefetcher* prefetcher_;
  VectorPointwise<Lanes> floats_;
  Range span_{};
  int groups_ = 0;
};

}  // namespace ghostnet::cpu
