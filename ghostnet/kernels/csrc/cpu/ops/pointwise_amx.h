// Pointwise convolution on AMX.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>

#include "ops/activation.h"
#include "ops/amx_packing.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "simd/amx.h"
#include "simd/prefetch.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// A pointwise convolution with AMX where the layer is deep, else with vectors. set_input() cuts the
// planes into vectors of 16 positions and splits them into bfloat16 parts; compute() then
// multiplies them by the weights of one channel tile.
class AmxPointwise {
 public:
  static constexpr int kLanes = 16;
  using Products = void;  // it has no bytes

  // `scratch` has room for amx_input_size() floats.
  AmxPointwise(float* scratch, Prefetcher& prefetcher)
      : scratch_(scratch), shallow_(nullptr, prefetcher) {}

  static ChannelTiles tiles(const Pointwise& layer) {
    return layer.is_deep ? AmxWeights::tiles_of(layer.out) : Pointwise::tiles_of(layer.out);
  }

  // `layer` is the layer to compute, or another one as deep.
  void set_input(const Pointwise& layer, Planes in, Range span) {
    if (!layer.is_deep) return shallow_.set_input(layer, in, span);
    const int depth = layer.in;
    span_ = span;
    chunks_ = amx_chunks(depth);
    std::ptrdiff_t vector = 0;
    for (; vector + 4 <= vectors(); vector += 4) split_vectors<4>(in, depth, vector);
    for (; vector < vectors(); ++vector) split_vectors<1>(in, depth, vector);
  }

  // `channels` is a channel tile, and `out` begins with its first channel.
  void compute(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    if (!layer.is_deep) return shallow_.compute(layer, channels, activation, out);
    const Target target{layer, channels, activation, out};
    std::ptrdiff_t vector = 0;
    for (; vector + 2 <= vectors(); vector += 2) compute_vectors<2>(target, vector);
    if (vector < vectors()) compute_vectors<1>(target, vector);
  }

 private:
  struct Target {
    const Pointwise& layer;
    Range channels;
    Activation activation;
    Planes out;
  };

  std::ptrdiff_t vectors() const { return (span_.size() + kLanes - 1) / kLanes; }

  // The AMX tile of the high parts of a vector's chunk; that of the low parts follows it.
  float* tile(std::ptrdiff_t vector, std::ptrdiff_t chunk) const {
    return scratch_ + (vector * chunks_ + chunk) * 2 * amx::kTileFloats;
  }

  template <int Vectors>
  void split_vectors(Planes in, int depth, std::ptrdiff_t vector) const {
    const float* const pixels = in.data + span_.begin + vector * kLanes;
    const int pairs = depth / 2;
    for (int pair = 0; pair < chunks_ * amx::kTileRows; ++pair) {
      const float* const first = pixels + 2 * pair * in.stride;
      float* const row = tile(vector, pair / amx::kTileRows) + pair % amx::kTileRows * kLanes;
      for (int v = 0; v < Vectors; ++v) {
        const std::ptrdiff_t at = v * kLanes;
        const __m512 none = _mm512_setzero_ps();
        const __m512 a = 2 * pair < depth ? _mm512_loadu_ps(first + at) : none;
        const __m512 b = pair < pairs ? _mm512_loadu_ps(first + in.stride + at) : none;
        split(a, b, row + v * chunks_ * 2 * amx::kTileFloats);
      }
    }
  }

  // Writes the pixels of two planes as one row of pairs: high parts to `row`, low parts to the same
  // row of the next AMX tile.
  static void split(__m512 a, __m512 b, float* row) {
    const __m512i high = round_pairs(a, b);
    const __m512 high_a = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
    const __m512 high_b = _mm512_castsi512_ps(_mm512_and_si512(high, upper));
    _mm512_store_si512(row, high);
    _mm512_store_si512(row + amx::kTileFloats,
                       round_pairs(_mm512_sub_ps(a, high_a), _mm512_sub_ps(b, high_b)));
  }

  // a₀, b₀, a₁, b₁, … rounded to bfloat16.
  static __m512i round_pairs(__m512 a, __m512 b) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
  }

  template <int Vectors>
  void compute_vectors(const Target& target, std::ptrdiff_t vector) const {
    std::ptrdiff_t channel = target.channels.begin;
    for (; channel + amx::kTileRows < target.channels.end; channel += 2 * amx::kTileRows) {
      compute_tiles<2, Vectors>(target, channel, vector);
    }
    if (channel < target.channels.end) compute_tiles<1, Vectors>(target, channel, vector);
  }

  // Computes Rows × Vectors AMX tiles. Tile registers 0 to 3 hold sums, 4 and 5 weights, 6 and 7
  // pixels.
  template <int Rows, int Vectors>
  void compute_tiles(const Target& target, std::ptrdiff_t channel, std::ptrdiff_t vector) const {
    amx::clear<0>();
    amx::clear<1>();
    amx::clear<2>();
    amx::clear<3>();
    for (std::ptrdiff_t chunk = 0; chunk < chunks_; ++chunk) {
      load_weights<Rows>(weights(target, channel, chunk, 0));
      load_pixels<Vectors>(vector, chunk, amx::kTileFloats);
      multiply_add<Rows, Vectors>();
      load_pixels<Vectors>(vector, chunk, 0);
      multiply_add<Rows, Vectors>();
      load_weights<Rows>(weights(target, channel, chunk, 1));
      multiply_add<Rows, Vectors>();
    }
    alignas(64) float sums[4][amx::kTileFloats];
    amx::store<0>(sums[0]);
    if constexpr (Vectors > 1) amx::store<1>(sums[1]);
    if constexpr (Rows > 1) amx::store<2>(sums[2]);
    if constexpr (Rows > 1 && Vectors > 1) amx::store<3>(sums[3]);
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < Vectors; ++v) {
        store_sums(target, sums[2 * r + v], channel + r * amx::kTileRows, vector + v);
      }
    }
  }

  const char* weights(const Target& target, std::ptrdiff_t channel, std::ptrdiff_t chunk,
                      int part) const {
    return reinterpret_cast<const char*>(target.layer.amx_weights.data) +
           AmxWeights::offset(target.channels, chunks_, chunk, part) +
           (channel - target.channels.begin) * amx::kTileRowBytes;
  }

  template <int Rows>
  static void load_weights(const char* rows) {
    amx::load<4>(rows);
    if constexpr (Rows > 1) amx::load<5>(rows + amx::kTileRows * amx::kTileRowBytes);
  }

  // `part` is 0 for the high parts, kTileFloats for the low parts.
  template <int Vectors>
  void load_pixels(std::ptrdiff_t vector, std::ptrdiff_t chunk, std::ptrdiff_t part) const {
    amx::load<6>(tile(vector, chunk) + part);
    if constexpr (Vectors > 1) amx::load<7>(tile(vector + 1, chunk) + part);
  }

  template <int Rows, int Vectors>
  static void multiply_add() {
    amx::multiply_add<0, 4, 6>();
    if constexpr (Vectors > 1) amx::multiply_add<1, 4, 7>();
    if constexpr (Rows > 1) amx::multiply_add<2, 5, 6>();
    if constexpr (Rows > 1 && Vectors > 1) amx::multiply_add<3, 5, 7>();
  }

  // Adds the bias to the sums of one AMX tile, activates and stores them.
  void store_sums(const Target& target, const float* sums, std::ptrdiff_t channel,
                  std::ptrdiff_t vector) const {
    const std::ptrdiff_t at = span_.begin + vector * kLanes;
    const std::ptrdiff_t end = std::min(channel + amx::kTileRows, target.channels.end);
    for (; channel < end; ++channel, sums += kLanes) {
      const Floats<kLanes> sum = load<kLanes>(sums) + broadcast<kLanes>(target.layer.bias[channel]);
      store_first<kLanes>(target.out.plane(channel - target.channels.begin) + at,
                          activate<kLanes>(target.activation, sum), span_.end - at);
    }
  }

  float* scratch_;
  VectorPointwise<kLanes> shallow_;
  Range span_{};
  std::ptrdiff_t chunks_ = 0;
};

}  // namespace ghostnet::cpu
