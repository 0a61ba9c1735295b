// Pointwise convolution on the matrix unit.
//
// Planes are cut into packs of 16 positions and split into bfloat16 parts once, by `read`; `write`
// then multiplies them by the weights of some output channels.
#pragma once

#include <immintrin.h>

#include "ops/activation.h"
#include "simd/amx.h"
#include "ops/pointwise.h"

namespace ghostnet::cpu {

class TileProduct {
 public:
  static constexpr int kLanes = 16;

  TileProduct(float* scratch, Ahead& ahead) : scratch_(scratch), shallow_(nullptr, ahead) {}

  static Blocks blocks(const Pointwise& layer) {
    return {layer.out, layer.is_deep ? Tiles::kBlock : Pointwise::kBlock};
  }

  // Of the planes that `layer` is applied to, or another as deep.
  void read(const Pointwise& layer, Planes in, Range span) {
    if (!layer.is_deep) return shallow_.read(layer, in, span);
    const int depth = layer.in;
    span_ = span;
    chunks_ = Tiles::chunks(depth);
    std::ptrdiff_t pack = 0;
    for (; pack + 4 <= packs(); pack += 4) read_packs<4>(in, depth, pack);
    for (; pack < packs(); ++pack) read_packs<1>(in, depth, pack);
  }

  // `out` begins with the first of `channels`, a block of the layer's.
  void write(const Pointwise& layer, Range channels, Activation activation, Planes out) const {
    if (!layer.is_deep) return shallow_.write(layer, channels, activation, out);
    const Target target{layer, channels, activation, out};
    std::ptrdiff_t pack = 0;
    for (; pack + 2 <= packs(); pack += 2) write_packs<2>(target, pack);
    if (pack < packs()) write_packs<1>(target, pack);
  }

 private:
  struct Target {
    const Pointwise& layer;
    Range channels;
    Activation activation;
    Planes out;
  };

  std::ptrdiff_t packs() const { return (span_.size() + kLanes - 1) / kLanes; }

  // The high parts of a pack's chunk; the low parts are the tile after it.
  float* tile(std::ptrdiff_t pack, std::ptrdiff_t chunk) const {
    return scratch_ + (pack * chunks_ + chunk) * 2 * Tiles::kFloats;
  }

  template <int Packs>
  void read_packs(Planes in, int depth, std::ptrdiff_t pack) const {
    const float* const pixels = in.data + span_.begin + pack * kLanes;
    const int pairs = depth / 2;
    for (int pair = 0; pair < chunks_ * Tiles::kRows; ++pair) {
      const float* const first = pixels + 2 * pair * in.stride;
      float* const row = tile(pack, pair / Tiles::kRows) + pair % Tiles::kRows * kLanes;
      for (int p = 0; p < Packs; ++p) {
        const std::ptrdiff_t at = p * kLanes;
        const __m512 none = _mm512_setzero_ps();
        const __m512 a = 2 * pair < depth ? _mm512_loadu_ps(first + at) : none;
        const __m512 b = pair < pairs ? _mm512_loadu_ps(first + in.stride + at) : none;
        split(a, b, row + p * chunks_ * 2 * Tiles::kFloats);
      }
    }
  }

  // Two planes' pixels to one row of pairs in the tile of high parts and in that of low parts.
  static void split(__m512 a, __m512 b, float* row) {
    const __m512i high = pairs(a, b);
    const __m512 high_a = _mm512_castsi512_ps(_mm512_slli_epi32(high, 16));
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
    const __m512 high_b = _mm512_castsi512_ps(_mm512_and_si512(high, upper));
    _mm512_store_si512(row, high);
    _mm512_store_si512(row + Tiles::kFloats,
                       pairs(_mm512_sub_ps(a, high_a), _mm512_sub_ps(b, high_b)));
  }

  // a₀, b₀, a₁, b₁ and so on, rounded to bfloat16.
  static __m512i pairs(__m512 a, __m512 b) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,  //
                         23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
  }

  template <int Packs>
  void write_packs(const Target& target, std::ptrdiff_t pack) const {
    std::ptrdiff_t channel = target.channels.begin;
    for (; channel + Tiles::kRows < target.channels.end; channel += 2 * Tiles::kRows) {
      write_tiles<2, Packs>(target, channel, pack);
    }
    if (channel < target.channels.end) write_tiles<1, Packs>(target, channel, pack);
  }

  // Tiles 0 to 3 hold sums, 4 and 5 weights, 6 and 7 pixels.
  template <int Rows, int Packs>
  void write_tiles(const Target& target, std::ptrdiff_t channel, std::ptrdiff_t pack) const {
    amx::clear<0>();
    amx::clear<1>();
    amx::clear<2>();
    amx::clear<3>();
    for (std::ptrdiff_t chunk = 0; chunk < chunks_; ++chunk) {
      load_weights<Rows>(weights(target, channel, chunk, 0));
      load_pixels<Packs>(pack, chunk, Tiles::kFloats);
      multiply_add<Rows, Packs>();
      load_pixels<Packs>(pack, chunk, 0);
      multiply_add<Rows, Packs>();
      load_weights<Rows>(weights(target, channel, chunk, 1));
      multiply_add<Rows, Packs>();
    }
    alignas(64) float sums[4][Tiles::kFloats];
    amx::store<0>(sums[0]);
    if constexpr (Packs > 1) amx::store<1>(sums[1]);
    if constexpr (Rows > 1) amx::store<2>(sums[2]);
    if constexpr (Rows > 1 && Packs > 1) amx::store<3>(sums[3]);
    for (int r = 0; r < Rows; ++r) {
      for (int p = 0; p < Packs; ++p) {
        finish(target, sums[2 * r + p], channel + r * Tiles::kRows, pack + p);
      }
    }
  }

  const char* weights(const Target& target, std::ptrdiff_t channel, std::ptrdiff_t chunk,
                      int part) const {
    return reinterpret_cast<const char*>(target.layer.tiles.data) +
           TiledWeights::offset(target.channels, chunks_, chunk, part) +
           (channel - target.channels.begin) * Tiles::kBytes;
  }

  template <int Rows>
  static void load_weights(const char* rows) {
    amx::load<4>(rows);
    if constexpr (Rows > 1) amx::load<5>(rows + Tiles::kRows * Tiles::kBytes);
  }

  template <int Packs>
  void load_pixels(std::ptrdiff_t pack, std::ptrdiff_t chunk, std::ptrdiff_t part) const {
    amx::load<6>(tile(pack, chunk) + part);
    if constexpr (Packs > 1) amx::load<7>(tile(pack + 1, chunk) + part);
  }

  template <int Rows, int Packs>
  static void multiply_add() {
    amx::multiply_add<0, 4, 6>();
    if constexpr (Packs > 1) amx::multiply_add<1, 4, 7>();
    if constexpr (Rows > 1) amx::multiply_add<2, 5, 6>();
    if constexpr (Rows > 1 && Packs > 1) amx::multiply_add<3, 5, 7>();
  }

  // Adds the bias to sums, activates and stores them.
  void finish(const Target& target, const float* sums, std::ptrdiff_t channel,
              std::ptrdiff_t pack) const {
    const std::ptrdiff_t at = span_.begin + pack * kLanes;
    const std::ptrdiff_t end = std::min(channel + Tiles::kRows, target.channels.end);
    for (; channel < end; ++channel, sums += kLanes) {
      const Floats<kLanes> sum =
          load<kLanes>(sums) + broadcast<kLanes>(target.layer.bias[channel]);
      store_first<kLanes>(target.out.plane(channel - target.channels.begin) + at,
                          activate<kLanes>(target.activation, sum), span_.end - at);
    }
  }

  float* scratch_;
  VectorProduct<kLanes> shallow_;
  Range span_{};
  std::ptrdiff_t chunks_ = 0;
};

}  // namespace ghostnet::cpu
