#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "system/system.h"

namespace ghostnet::cpu::system {

void use_huge_pages(void* memory, std::size_t bytes) { madvise(memory, bytes, MADV_HUGEPAGE); }

// Linux saves the tile registers of a process only after the process has asked for permission.
bool allows_amx() {
#if defined(__x86_64__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool enables_avx512_on_demand() { return false; }

ArmExtensions arm_extensions() {
#if defined(__aarch64__)
  constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kI8mm = 1UL << 13;        // HWCAP2_I8MM
  constexpr unsigned long kBf16 = 1UL << 14;        // HWCAP2_BF16
  const unsigned long first = getauxval(AT_HWCAP);
  const unsigned long second = getauxval(AT_HWCAP2);
  return {(first & kDotProduct) != 0, (second & kI8mm) != 0, (second & kBf16) != 0};
#else
  return {};
#endif
}

}  // namespace ghostnet::cpu::system
