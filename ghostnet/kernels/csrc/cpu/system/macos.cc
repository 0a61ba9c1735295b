#include <sys/sysctl.h>

#include <cstddef>

#include "system/system.h"

namespace ghostnet::cpu::system {
namespace {

bool is_set(const char* name) {
  int value = 0;
  std::size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

}  // namespace

void use_huge_pages(void*, std::size_t) {}  // the system chooses the size of pages itself

bool allows_amx() { return false; }

bool enables_avx512_on_demand() { return is_set("hw.optional.avx512f"); }

ArmExtensions arm_extensions() {
  return {is_set("hw.optional.arm.FEAT_DotProd"), is_set("hw.optional.arm.FEAT_I8MM"),
          is_set("hw.optional.arm.FEAT_BF16")};
}

}  // namespace ghostnet::cpu::system
