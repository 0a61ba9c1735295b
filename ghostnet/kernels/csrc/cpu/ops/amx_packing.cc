#include "ops/amx_packing.h"

#include <algorithm>
#include <cstring>

#include "simd/rounding.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ghostnet::cpu {
namespace {

std::uint16_t to_bfloat16(float value) {
  return static_cast<std::uint16_t>(rounded_bits(value, 16) >> 16);
}

float from_bfloat16(std::uint16_t half) {
  const std::uint32_t bits = std::uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

void pack_tiles(const float* weights, int out, int in, float* packed) {
  std::fill_n(packed, TiledWeights::size(out, in), 0.0F);
  char* const bytes = reinterpret_cast<char*>(packed);
  const std::ptrdiff_t chunks = Tiles::chunks(in);
  const Blocks blocks{out, Tiles::kBlock};
  for (int index = 0; index < blocks.count(); ++index) {
    const Range block = blocks.block(index);
    for (std::ptrdiff_t n = block.begin; n < block.end; ++n) {
      for (int k = 0; k < in; ++k) {
        const float weight = weights[n * in + k];
        const std::uint16_t high = to_bfloat16(weight);
        const std::uint16_t parts[] = {high, to_bfloat16(weight - from_bfloat16(high))};
        for (int part = 0; part < 2; ++part) {
          const std::ptrdiff_t rows =
              TiledWeights::offset(block, chunks, k / Tiles::kDepth, part);
          const std::ptrdiff_t row = (n - block.begin) * Tiles::kBytes;
          std::memcpy(bytes + rows + row + k % Tiles::kDepth * sizeof high, &parts[part],
                      sizeof high);
        }
      }
    }
  }
}

#if defined(GHOSTNET_AMX)
namespace {

// Linux keeps the tile registers of a process only if it has asked for that.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool processor_has_tiles() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kBfloat16Tiles = 1U << 22;
  constexpr unsigned kTiles = 1U << 24;
  const bool tiles = (d & kTiles) != 0 && (d & kBfloat16Tiles) != 0;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  constexpr unsigned kBfloat16Vectors = 1U << 5;
  return tiles && (a & kBfloat16Vectors) != 0;
}

}  // namespace

bool has_tiles() {
  static const bool has = processor_has_tiles() && may_use_tiles();
  return has;
}
#else
bool has_tiles() { return false; }
#endif

}  // namespace ghostnet::cpu
