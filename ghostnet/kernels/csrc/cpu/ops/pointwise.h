// Pointwise (1×1) convolution: out[n][p] = act(bias[n] + Σ_k weight[n][k] · in[k][p]).
//
// A register tile of output channels × vectors of positions holds the sums while k runs. Each step
// loads the vectors of one input plane once, and one weight for each output channel.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "ops/activation.h"
#include "ops/amx_packing.h"
#include "ops/int8_packing.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "simd/multipliers.h"
#include "simd/prefetch.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// `weights` holds one channel tile after the other, each [in][channel of the tile]. `amx_weights`
// holds the same weights for AMX, where the processor has it. The weights of the next layer follow
// weights and bias, so that a vector load may overread.
struct Pointwise {
  static constexpr int kChannelTile = 12;

  int in;
  int out;
  bool is_deep;  // has enough input channels for AMX to be faster than vectors
  const float* weights;
  AmxWeights amx_weights;
  Int8Weights int8_weights;            // instead of the others, where the network has them
  const std::int32_t* bfloat16_pairs;  // the same; [pair of inputs][channel of the tile]
  const float* bias;

  static ChannelTiles tiles_of(int out) { return {out, kChannelTile}; }
};

// Floats of packed weights, those for AMX included.
std::ptrdiff_t pointwise_size(int out, int in);

// Packs weights [out][in].
void pack_pointwise(const float* weights, int out, int in, float* packed);

// The same as pairs of bfloat16, the last zero-padded.
constexpr std::ptrdiff_t bfloat16_size(int out, int in) {
  return std::ptrdiff_t{out} * ((in + 1) / 2);
}
void pack_bfloat16(const float* weights, int out, int in, float* packed);

// Whether a layer gains from bfloat16: with fewer outputs, rounding the inputs takes longer than it
// saves.
constexpr bool is_faster_in_bfloat16(int out) { return out >= 8; }

// Where the input planes begin, in floats from the first: an equal distance apart, or, for a k×k
// convolution, at a distance of its own for each tap.
struct EqualOffsets {
  std::ptrdiff_t stride;
  std::ptrdiff_t operator[](std::ptrdiff_t k) const { return k * stride; }
};

using TapOffsets = const std::ptrdiff_t*;

// What the register tiles of one channel tile share. `in` and `out` point to position 0.
template <class Offsets>
struct ChannelTileParams {
  const float* in;
  Offsets offsets;
  int depth;             // input planes
  const float* weights;  // [depth][channel of the tile]
  const float* bias;
  Activation activation;
  Planes out;
  Prefetcher* prefetcher;

  // The same from a channel of the tile on.
  ChannelTileParams from(int channel) const {
    return {in,         offsets,           depth,     weights + channel, bias + channel,
            activation, out.from(channel), prefetcher};
  }
};

// How far ahead a register tile prefetches its own weights, in floats: into the second-level cache
// far enough for them to arrive from memory in time, even where few positions leave little
// arithmetic for each, and from there into the first.
constexpr std::ptrdiff_t kPrefetchDistance = 1024;
constexpr std::ptrdiff_t kFarPrefetchDistance = 4096;

inline void prefetch_weights(const void* weights) {
  constexpr int kForReading = 0;
  constexpr int kSecondLevel = 2;
  const auto* const first = static_cast<const float*>(weights);
  __builtin_prefetch(first + kPrefetchDistance);
  __builtin_prefetch(first + kFarPrefetchDistance, kForReading, kSecondLevel);
}

// What a register tile computes after its whole vectors of positions. A map of 7 × 7 is three
// vectors of 16 positions and one position, for which a fourth vector would be nearly all waste.
// The gates of such a map are 3 × 3: half a vector and one position.
enum class Remainder { kNone, kOnePosition, kHalfVector, kHalfVectorAndOne };

constexpr bool has_half(Remainder rest) {
  return rest == Remainder::kHalfVector || rest == Remainder::kHalfVectorAndOne;
}

constexpr bool has_one(Remainder rest) {
  return rest == Remainder::kOnePosition || rest == Remainder::kHalfVectorAndOne;
}

// The place of the single position among those of a register tile.
template <int Lanes, int Vectors, Remainder Rest>
constexpr std::ptrdiff_t one_position() {
  return Vectors * Lanes + (has_half(Rest) ? Lanes / 2 : 0);
}

// The sums of a register tile. A single position has its vectors along the channels.
template <int Lanes, int Channels, int Vectors, Remainder Rest>
struct Accumulators {
  Floats<Lanes> whole[Channels][std::max(1, Vectors)];
  Floats<Lanes / 2> half[Channels];
  static constexpr int kChannelVectors = (Channels + Lanes - 1) / Lanes;
  Floats<Lanes> one[kChannelVectors];
};

// Activates and stores the sums for the positions from `position` on, but none from `end` on.
// Always inlined, so that the sums stay in registers.
template <int Lanes, Activation Act, int Channels, int Vectors, Remainder Rest, class Offsets>
[[gnu::always_inline]] inline void store_tile(
    const ChannelTileParams<Offsets>& params,
    const Accumulators<Lanes, Channels, Vectors, Rest>& sums, std::ptrdiff_t position,
    std::ptrdiff_t end) {
  const std::ptrdiff_t count = end - position;
#pragma GCC unroll 16
  for (int n = 0; n < Channels; ++n) {
    float* const row = params.out.plane(n) + position;
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      store_first<Lanes>(row + v * Lanes, activate<Lanes>(Act, sums.whole[n][v]),
                         count - v * Lanes);
    }
    if constexpr (has_half(Rest)) {
      store_first<Lanes>(row + Vectors * Lanes,
                         zero_extended<Lanes>(activate<Lanes / 2>(Act, sums.half[n])),
                         count - Vectors * Lanes);
    }
  }
  if constexpr (has_one(Rest)) {
    float values[sums.kChannelVectors * Lanes];
    for (int i = 0; i < sums.kChannelVectors; ++i) {
      store<Lanes>(values + i * Lanes, activate<Lanes>(Act, sums.one[i]));
    }
    const std::ptrdiff_t last = position + one_position<Lanes, Vectors, Rest>();
    for (int n = 0; n < Channels; ++n) params.out.plane(n)[last] = values[n];
  }
}

// Computes one register tile, the first channels of a channel tile of `TileChannels`. The sums
// begin with the bias.
template <int Lanes, int TileChannels, int Channels, int Vectors, Remainder Rest, class Offsets>
inline void register_tile(const ChannelTileParams<Offsets>& params, std::ptrdiff_t position,
                          std::ptrdiff_t end) {
  Accumulators<Lanes, Channels, Vectors, Rest> sums;
#pragma GCC unroll 16
  for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) sums.whole[n][v] = broadcast<Lanes>(params.bias[n]);
    if constexpr (has_half(Rest)) {
      sums.half[n] = broadcast<Lanes / 2>(params.bias[n]);
    }
  }
  if constexpr (has_one(Rest)) {
    for (int n = 0; n < Channels; n += Lanes) sums.one[n / Lanes] = load<Lanes>(params.bias + n);
  }
  const float* weights = params.weights;
  const CacheLines lines = params.prefetcher->take(params.depth);
  for (int k = 0; k < params.depth; ++k, weights += TileChannels) {
    const float* in = params.in + params.offsets[k] + position;
    lines.prefetch(k);
    prefetch_weights(weights);
    Floats<Lanes> pixels[std::max(1, Vectors)];
    for (int v = 0; v < Vectors; ++v) pixels[v] = load<Lanes>(in + v * Lanes);
    Floats<Lanes / 2> last;
    if constexpr (has_half(Rest)) last = load<Lanes / 2>(in + Vectors * Lanes);
    if constexpr (has_one(Rest)) {
      for (int n = 0; n < Channels; n += Lanes) {
        sums.one[n / Lanes] += load<Lanes>(weights + n) * in[one_position<Lanes, Vectors, Rest>()];
      }
    }
    const Multipliers<Channels> multipliers(weights);
#pragma GCC unroll 16
    for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) sums.whole[n][v] += multipliers[n] * pixels[v];
      if constexpr (has_half(Rest)) sums.half[n] += multipliers[n] * last;
    }
  }
  switch (params.activation) {
    case Activation::kNone:
      return store_tile<Lanes, Activation::kNone>(params, sums, position, end);
    case Activation::kRelu:
      return store_tile<Lanes, Activation::kRelu>(params, sums, position, end);
    case Activation::kHardSwish:
      return store_tile<Lanes, Activation::kHardSwish>(params, sums, position, end);
    case Activation::kRelu6:
      return store_tile<Lanes, Activation::kRelu6>(params, sums, position, end);
  }
}

// The shape of the register tiles. Their sums take 24 of 32 registers, or 12 of 16.
template <int Lanes>
struct RegisterTile {
  static constexpr int kRegisters = kVectorRegisters<Lanes> * 3 / 4;

  // With 16 registers, 6 × 2 loads 8 values for 12 multiply-adds, where 12 × 1 loads 13.
  static constexpr int kMaxChannels = kRegisters / 2;

  // Channels of the first register tile of a channel tile, which has one or two.
  static constexpr int channels(int tile_channels) {
    return tile_channels > kMaxChannels ? (tile_channels + 1) / 2 : tile_channels;
  }

  static constexpr int vectors(int tile_channels) {
    return std::max(1, std::min(4, kRegisters / channels(tile_channels)));
  }
};

// Computes all channels of a channel tile for some vectors of positions.
template <int Lanes, int TileChannels, int Vectors, Remainder Rest, class Offsets>
inline void register_tiles(const ChannelTileParams<Offsets>& params, std::ptrdiff_t position,
                           std::ptrdiff_t end) {
  constexpr int kFirst = RegisterTile<Lanes>::channels(TileChannels);
  register_tile<Lanes, TileChannels, kFirst, Vectors, Rest>(params, position, end);
  if constexpr (kFirst < TileChannels) {
    register_tile<Lanes, TileChannels, TileChannels - kFirst, Vectors, Rest>(params.from(kFirst),
                                                                             position, end);
  }
}

template <int Lanes, int Channels, class Offsets>
void channel_tile_span(const ChannelTileParams<Offsets>& params, Range span) {
  constexpr int kVectors = RegisterTile<Lanes>::vectors(Channels);
  constexpr int kHalf = Lanes / 2;
  std::ptrdiff_t position = span.begin;
  for (; position + kVectors * Lanes <= span.end; position += kVectors * Lanes) {
    if (position + kVectors * Lanes + 1 == span.end) {
      return register_tiles<Lanes, Channels, kVectors, Remainder::kOnePosition>(params, position,
                                                                                span.end);
    }
    register_tiles<Lanes, Channels, kVectors, Remainder::kNone>(params, position, span.end);
  }
  for (; position + Lanes + kHalf < span.end; position += Lanes) {
    register_tiles<Lanes, Channels, 1, Remainder::kNone>(params, position, span.end);
  }
  const std::ptrdiff_t left = span.end - position;
  if (left > Lanes + 1) {
    register_tiles<Lanes, Channels, 1, Remainder::kHalfVector>(params, position, span.end);
  } else if (left > Lanes) {
    register_tiles<Lanes, Channels, 1, Remainder::kOnePosition>(params, position, span.end);
  } else if (left == kHalf + 1) {
    register_tiles<Lanes, Channels, 0, Remainder::kHalfVectorAndOne>(params, position, span.end);
  } else if (left > kHalf) {
    register_tiles<Lanes, Channels, 1, Remainder::kNone>(params, position, span.end);
  } else if (left > 1) {
    register_tiles<Lanes, Channels, 0, Remainder::kHalfVector>(params, position, span.end);
  } else if (left > 0) {
    register_tiles<Lanes, Channels, 0, Remainder::kOnePosition>(params, position, span.end);
  }
}

template <int Lanes, class Offsets, int... Index>
constexpr auto channel_tile_spans(std::integer_sequence<int, Index...>) {
  return std::array{&channel_tile_span<Lanes, Index + 1, Offsets>...};
}

// Computes a tile of `channels` output channels over one span of positions.
template <int Lanes, class Offsets>
void channel_tile(const ChannelTileParams<Offsets>& params, std::ptrdiff_t channels, Range span) {
  static constexpr auto kSpans = channel_tile_spans<Lanes, Offsets>(
      std::make_integer_sequence<int, Pointwise::kChannelTile>{});
  if (channels > 0) kSpans[channels - 1](params, span);
}

// A pointwise convolution with vectors: set_input() once, then compute() for each channel tile.
template <int Lanes>
class VectorPointwise {
 public:
  static constexpr int kLanes = Lanes;
  using Products = void;  // it has no bytes

  VectorPointwise(float* /*scratch*/, Prefetcher& prefetcher) : prefetcher_(&prefetcher) {}

  static ChannelTiles tiles(const Pointwise& layer) { return Pointwise::tiles_of(layer.out); }

  void set_input(const Pointwise&, Planes in, Range span) {
    in_ = in;
    span_ = span;
  }

  // `channels` is a channel tile, and `out` begins with its first channel.
  void compute(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    const ChannelTileParams<EqualOffsets> params{in_.data,
                                                 {in_.stride},
                                                 layer.in,
                                                 layer.weights + channels.begin * layer.in,
                                                 layer.bias + channels.begin,
                                                 activation,
                                                 out,
                                                 prefetcher_};
    channel_tile<Lanes>(params, channels.size(), span_);
  }

 private:
  Prefetcher* prefetcher_;
  Planes in_{};
  Range span_{};
};

}  // namespace ghostnet::cpu
