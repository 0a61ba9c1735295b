// Pointwise (1×1) convolution: out[n][p] = act(bias[n] + Σ_k weight[n][k] · in[k][p]).
//
// A tile of output channels × packs of pixels stays in registers while k runs; each step loads the
// packs of one input plane once and one weight for each output channel.
#pragma once

#include <algorithm>
#include <array>

#include "ops/activation.h"
#include "simd/prefetch.h"
#include "ops/planes.h"
#include "ops/amx_packing.h"

namespace ghostnet::cpu {

// `weights` holds blocks of output channels one after the other, each [in][block]; `tiles` has the
// same weights for the matrix unit, where there is one. Behind weights and bias lie those of the next
// layer, so that a pack may reach beyond them.
struct Pointwise {
  static constexpr int kBlock = 12;

  int in;
  int out;
  bool is_deep;  // enough input channels for the matrix unit to be worth while
  const float* weights;
  TiledWeights tiles;
  const float* bias;
};

// Where the planes of the input begin: evenly apart, or, for a k×k convolution, one plane for each
// tap of the kernel.
struct EvenlyApart {
  std::ptrdiff_t stride;
  std::ptrdiff_t operator[](std::ptrdiff_t k) const { return k * stride; }
};

using Taps = const std::ptrdiff_t*;

// Everything that the tiles of one block share. `in` and `out` are position 0 of the first plane.
template <class Offsets>
struct PointwiseBlock {
  const float* in;
  Offsets offsets;
  int depth;
  const float* weights;  // [depth][channels of the block]
  const float* bias;
  Activation activation;
  Planes out;
  Ahead* ahead;  // what this thread fetches meanwhile
};

// How far ahead a tile fetches its own weights: time enough for them to come from memory.
constexpr std::ptrdiff_t kWeightsAhead = 1024;

// What a tile computes behind its whole packs of positions. A map of 7 × 7 is three packs of 16 and
// one position, for which a quarter of a pack's products would be for nothing.
enum class Rest { kNone, kOne, kHalfPack };

// Sums of a tile. For one position the packs run along the channels.
template <int Lanes, int Channels, int Packs, Rest Behind>
struct TileSums {
  Floats<Lanes> whole[Channels][std::max(1, Packs)];
  Floats<Lanes / 2> half[Channels];
  static constexpr int kOnePacks = (Channels + Lanes - 1) / Lanes;
  Floats<Lanes> one[kOnePacks];
};

// Stores activated sums of the positions from `position` on, as far as `end`. Inlined, so that the
// sums stay in registers.
template <int Lanes, Activation Act, int Channels, int Packs, Rest Behind, class Offsets>
[[gnu::always_inline]] inline void store_tile(const PointwiseBlock<Offsets>& block,
                                              const TileSums<Lanes, Channels, Packs, Behind>& sums,
                                              std::ptrdiff_t position, std::ptrdiff_t end) {
  const std::ptrdiff_t count = end - position;
#pragma GCC unroll 16
  for (int n = 0; n < Channels; ++n) {
    float* const row = block.out.plane(n) + position;
#pragma GCC unroll 16
    for (int v = 0; v < Packs; ++v) {
      store_first<Lanes>(row + v * Lanes, activate<Lanes>(Act, sums.whole[n][v]),
                         count - v * Lanes);
    }
    if constexpr (Behind == Rest::kHalfPack) {
      store_first<Lanes>(row + Packs * Lanes,
                         widened<Lanes>(activate<Lanes / 2>(Act, sums.half[n])),
                         count - Packs * Lanes);
    }
  }
  if constexpr (Behind == Rest::kOne) {
    float values[sums.kOnePacks * Lanes];
    for (int i = 0; i < sums.kOnePacks; ++i) {
      store<Lanes>(values + i * Lanes, activate<Lanes>(Act, sums.one[i]));
    }
    for (int n = 0; n < Channels; ++n) block.out.plane(n)[position + Packs * Lanes] = values[n];
  }
}

template <int Lanes, int Channels, int Packs, Rest Behind, class Offsets>
inline void pointwise_tile(const PointwiseBlock<Offsets>& block, std::ptrdiff_t position,
                           std::ptrdiff_t end) {
  TileSums<Lanes, Channels, Packs, Behind> sums;
#pragma GCC unroll 16
  for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
    for (int v = 0; v < Packs; ++v) sums.whole[n][v] = broadcast<Lanes>(block.bias[n]);
    if constexpr (Behind == Rest::kHalfPack) sums.half[n] = broadcast<Lanes / 2>(block.bias[n]);
  }
  if constexpr (Behind == Rest::kOne) {
    for (int n = 0; n < Channels; n += Lanes) sums.one[n / Lanes] = load<Lanes>(block.bias + n);
  }
  const float* weights = block.weights;
  const Lines ahead = block.ahead->take(block.depth);
  for (int k = 0; k < block.depth; ++k, weights += Channels) {
    const float* in = block.in + block.offsets[k] + position;
    ahead.fetch(k);
    __builtin_prefetch(weights + kWeightsAhead);
    Floats<Lanes> pixels[std::max(1, Packs)];
    for (int v = 0; v < Packs; ++v) pixels[v] = load<Lanes>(in + v * Lanes);
    Floats<Lanes / 2> last;
    if constexpr (Behind == Rest::kHalfPack) last = load<Lanes / 2>(in + Packs * Lanes);
    if constexpr (Behind == Rest::kOne) {
      for (int n = 0; n < Channels; n += Lanes) {
        sums.one[n / Lanes] += load<Lanes>(weights + n) * in[Packs * Lanes];
      }
    }
#pragma GCC unroll 16
    for (int n = 0; n < Channels; ++n) {
#pragma GCC unroll 16
      for (int v = 0; v < Packs; ++v) sums.whole[n][v] += weights[n] * pixels[v];
      if constexpr (Behind == Rest::kHalfPack) sums.half[n] += weights[n] * last;
    }
  }
  switch (block.activation) {
    case Activation::kNone:
      return store_tile<Lanes, Activation::kNone>(block, sums, position, end);
    case Activation::kRelu:
      return store_tile<Lanes, Activation::kRelu>(block, sums, position, end);
    case Activation::kHardSwish:
      return store_tile<Lanes, Activation::kHardSwish>(block, sums, position, end);
  }
}

// Registers for sums: 24 of 32 with AVX-512, 12 of 16 otherwise.
template <int Lanes, int Channels>
constexpr int packs_per_tile() {
  constexpr int kRegisters = Lanes == 16 ? 24 : 12;
  return std::max(1, std::min(4, kRegisters / Channels));
}

template <int Lanes, int Channels, class Offsets>
void pointwise_span(const PointwiseBlock<Offsets>& block, Range span) {
  constexpr int kPacks = packs_per_tile<Lanes, Channels>();
  constexpr int kHalf = Lanes / 2;
  std::ptrdiff_t position = span.begin;
  for (; position + kPacks * Lanes <= span.end; position += kPacks * Lanes) {
    pointwise_tile<Lanes, Channels, kPacks, Rest::kNone>(block, position, span.end);
  }
  for (; position + Lanes + kHalf < span.end; position += Lanes) {
    pointwise_tile<Lanes, Channels, 1, Rest::kNone>(block, position, span.end);
  }
  const std::ptrdiff_t left = span.end - position;
  if (left > Lanes + 1) {
    pointwise_tile<Lanes, Channels, 1, Rest::kHalfPack>(block, position, span.end);
  } else if (left > Lanes) {
    pointwise_tile<Lanes, Channels, 1, Rest::kOne>(block, position, span.end);
  } else if (left > kHalf) {
    pointwise_tile<Lanes, Channels, 1, Rest::kNone>(block, position, span.end);
  } else if (left > 1) {
    pointwise_tile<Lanes, Channels, 0, Rest::kHalfPack>(block, position, span.end);
  } else if (left > 0) {
    pointwise_tile<Lanes, Channels, 0, Rest::kOne>(block, position, span.end);
  }
}

template <int Lanes, class Offsets, int... Index>
constexpr auto pointwise_spans(std::integer_sequence<int, Index...>) {
  return std::array{&pointwise_span<Lanes, Index + 1, Offsets>...};
}

// One block of output channels over one span of positions.
template <int Lanes, class Offsets>
void pointwise_block(const PointwiseBlock<Offsets>& block, std::ptrdiff_t channels, Range span) {
  static constexpr auto kSpans =
      pointwise_spans<Lanes, Offsets>(std::make_integer_sequence<int, Pointwise::kBlock>{});
  if (channels > 0) kSpans[channels - 1](block, span);
}

// Pointwise convolution with the processor's vectors: `read` says of what, `write` computes a block
// of output channels.
template <int Lanes>
class VectorProduct {
 public:
  static constexpr int kLanes = Lanes;

  VectorProduct(float*, Ahead& ahead) : ahead_(&ahead) {}

  static Blocks blocks(const Pointwise& layer) { return {layer.out, Pointwise::kBlock}; }

  void read(const Pointwise&, Planes in, Range span) {
    in_ = in;
    span_ = span;
  }

  // `out` begins with the first of `channels`.
  void write(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    const PointwiseBlock<EvenlyApart> block{in_.data,
                                            {in_.stride},
                                            layer.in,
                                            layer.weights + channels.begin * layer.in,
                                            layer.bias + channels.begin,
                                            activation,
                                            out,
                                            ahead_};
    pointwise_block<Lanes>(block, channels.size(), span_);
  }

 private:
  Ahead* ahead_;
  Planes in_{};
  Range span_{};
};

}  // namespace ghostnet::cpu
