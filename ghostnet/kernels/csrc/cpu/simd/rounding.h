// Rounding of float32 to fewer bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace ghostnet::cpu {

// The bits of the nearest float32 whose last `dropped` bits are zero; ties round to even.
inline std::uint32_t rounded_bits(float value, int dropped) {
  if (std::isnan(value)) return 0x7FC00000;
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t last = 1U << dropped;
  return (bits + last / 2 - 1 + (bits >> dropped & 1)) & ~(last - 1);
}

}  // namespace ghostnet::cpu
