// The instructions of AMX, one function each. The tile registers are numbered 0 to 7.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/amx_tile.h"

namespace ghostnet::cpu::amx {

// The operand of `ldtilecfg`.
struct alignas(64) Configuration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Configures all tile registers of the calling thread to full size for as long as it lives.
class Session {
 public:
  Session() {
    Configuration configuration;
    for (int tile = 0; tile < 8; ++tile) {
      configuration.row_bytes[tile] = kTileRowBytes;
      configuration.rows[tile] = kTileRows;
    }
    asm volatile("ldtilecfg %0" ::"m"(configuration));
  }
  ~Session() { asm volatile("tilerelease"); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

template <int Tile>
inline void clear() {
  asm volatile("tilezero %%tmm%c0" ::"i"(Tile));
}

// `rows` are contiguous.
template <int Tile>
inline void load(const void* rows) {
  const std::ptrdiff_t stride = kTileRowBytes;
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(Tile), "r"(rows), "r"(stride) : "memory");
}

template <int Tile>
inline void store(void* rows) {
  const std::ptrdiff_t stride = kTileRowBytes;
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(Tile), "r"(rows), "r"(stride) : "memory");
}

// sums[n][p] += Σ_k left[n][2k] · right[k][2p] + left[n][2k + 1] · right[k][2p + 1]
template <int Sums, int Left, int Right>
inline void multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(Left), "i"(Right));
}

}  // namespace ghostnet::cpu::amx
