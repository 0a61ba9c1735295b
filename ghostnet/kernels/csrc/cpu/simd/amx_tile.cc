#include "simd/amx_tile.h"

#if defined(GHOSTNET_AMX) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ghostnet::cpu::amx {

#if defined(GHOSTNET_AMX) && defined(__linux__)
namespace {

bool processor_has_amx() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kAmxBfloat16 = 1U << 22;
  constexpr unsigned kAmxTile = 1U << 24;
  const bool has_tiles = (d & kAmxTile) != 0 && (d & kAmxBfloat16) != 0;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  constexpr unsigned kAvx512Bfloat16 = 1U << 5;
  return has_tiles && (a & kAvx512Bfloat16) != 0;
}

// Linux saves the tile registers of a process only after the process has asked for permission.
bool request_permission() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool is_available() {
  static const bool available = processor_has_amx() && request_permission();
  return available;
}
#else
bool is_available() { return false; }
#endif

}  // namespace ghostnet::cpu::amx
