// Pointwise convolution of pixels that are packed: each lane holds several input channels of one
// position, whose products one instruction adds up.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "ops/activation.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "simd/prefetch.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// A pointwise convolution of packed pixels where the layer has weights for it, else on floats.
// set_input() packs the planes, in vectors of positions and groups of channels; compute() then
// multiplies them by the weights of one channel tile. `Format` is Int8Format or Bfloat16Format.
template <class Format>
class PackedPointwise {
 public:
  static constexpr int kLanes = Format::kLanes;
  using Products = typename Format::Products;

  // `scratch` has room for a word of each group of pixels.
  PackedPointwise(float* scratch, Prefetcher& prefetcher)
      : scratch_(reinterpret_cast<std::int32_t*>(scratch)),
        prefetcher_(&prefetcher),
        floats_(nullptr, prefetcher) {}

  static ChannelTiles tiles(const Pointwise& layer) { return Pointwise::tiles_of(layer.out); }

  // `layer` is the layer to compute, or another one with the same inputs and as many outputs.
  void set_input(const Pointwise& layer, Planes in, Range span) {
    if (!Format::packs(layer)) return floats_.set_input(layer, in, span);
    span_ = span;
    groups_ = (layer.in + Format::kGroup - 1) / Format::kGroup;
    for (std::ptrdiff_t vector = 0; vector < vectors(); ++vector) {
      const float* const pixels = in.data + span.begin + vector * kLanes;
      for (int group = 0; group < groups_; ++group) {
        const int first = group * Format::kGroup;
        const Range channels{first, std::min(first + Format::kGroup, layer.in)};
        const Bits<kLanes> words =
            Format::pack(layer, channels, pixels + first * in.stride, in.stride);
        std::memcpy(words_of(vector) + group * kLanes, &words, sizeof words);
      }
    }
  }

  // `channels` is a channel tile, and `out` begins with its first channel.
  void compute(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    if (!Format::packs(layer)) return floats_.compute(layer, channels, activation, out);
    static constexpr auto kTiles =
        channel_tiles(std::make_integer_sequence<int, Pointwise::kChannelTile>{});
    const int passes = Format::passes(layer);
    const Target target{passes,     Format::weights(layer) + channels.begin * passes * groups_,
                        nullptr,    {layer, channels.begin},
                        activation, out};
    (this->*kTiles[channels.size() - 1])(target);
  }

 private:
  struct Target {
    int passes;                   // over the same pixels
    const std::int32_t* weights;  // [pass][group][channel of the tile]
    const std::int32_t* sums;     // with which each channel begins, where the format has such
    typename Format::Scaling scaling;
    Activation activation;
    Planes out;
  };

  std::ptrdiff_t vectors() const { return (span_.size() + kLanes - 1) / kLanes; }

  // The words of a vector of positions: for each group, one lane for each position.
  std::int32_t* words_of(std::ptrdiff_t vector) const {
    return scratch_ + vector * groups_ * kLanes;
  }

  template <int Channels>
  void channel_tile(const Target& shared) const {
    Target target = shared;
    std::int32_t sums[Channels];
    if constexpr (Format::kBeginsWithSums) {
      Format::first_sums(target.weights, groups_, sums);
      target.sums = sums;
    }
    constexpr int kVectors = RegisterTile<kLanes>::vectors(Channels);
    std::ptrdiff_t vector = 0;
    for (; vector + kVectors <= vectors(); vector += kVectors) {
      register_tiles<Channels, kVectors>(target, vector);
    }
    for (; vector < vectors(); ++vector) register_tiles<Channels, 1>(target, vector);
  }

  template <int... Index>
  static constexpr auto channel_tiles(std::integer_sequence<int, Index...>) {
    return std::array{&PackedPointwise::channel_tile<Index + 1>...};
  }

  template <int TileChannels, int Vectors>
  void register_tiles(const Target& target, std::ptrdiff_t vector) const {
    constexpr int kFirst = RegisterTile<kLanes>::channels(TileChannels);
    register_tile<TileChannels, 0, kFirst, Vectors>(target, vector);
    if constexpr (kFirst < TileChannels) {
      register_tile<TileChannels, kFirst, TileChannels - kFirst, Vectors>(target, vector);
    }
  }

  // Computes some vectors of positions of the channels of a tile from `First` on.
  template <int TileChannels, int First, int Channels, int Vectors>
  void register_tile(const Target& target, std::ptrdiff_t vector) const {
    typename Format::Sums sums[Channels][Vectors] = {};
    if constexpr (Format::kBeginsWithSums) {
#pragma GCC unroll 16
      for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) sums[n][v] += target.sums[First + n];
      }
    }
    const std::int32_t* weights = target.weights + First;
    for (int pass = 0; pass < target.passes; ++pass) {
      const std::int32_t* words = words_of(vector);
      const CacheLines lines = prefetcher_->take(groups_);
      for (int group = 0; group < groups_; ++group, weights += TileChannels, words += kLanes) {
        lines.prefetch(group);
        prefetch_weights(weights);
        Bits<kLanes> pixels[Vectors];
        for (int v = 0; v < Vectors; ++v) {
          pixels[v] = load_bits<kLanes>(words + v * groups_ * kLanes);
        }
        const typename Format::template Weights<Channels> factors(weights);
#pragma GCC unroll 16
        for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
          for (int v = 0; v < Vectors; ++v) {
            sums[n][v] = Format::add(sums[n][v], pixels[v], factors[n]);
          }
        }
      }
    }
    const std::ptrdiff_t position = span_.begin + vector * kLanes;
#pragma GCC unroll 16
    for (int n = 0; n < Channels; ++n) {
      float* const row = target.out.plane(First + n) + position;
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        const Floats<kLanes> sum = target.scaling.scaled(sums[n][v], First + n);
        store_first<kLanes>(row + v * kLanes, activate<kLanes>(target.activation, sum),
                            span_.end - position - v * kLanes);
      }
    }
  }

  std::int32_t* scratch_;
  Prefetcher* prefetcher_;
  VectorPointwise<kLanes> floats_;
  Range span_{};
  int groups_ = 0;
};

}  // namespace ghostnet::cpu
