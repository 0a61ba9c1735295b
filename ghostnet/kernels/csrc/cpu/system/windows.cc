#include <windows.h>

#include <chrono>
#include <cstddef>

#include "system/system.h"

namespace ghostnet::cpu::system {

void use_huge_pages(void*, std::size_t) {}  // they need a privilege that few processes have

void call_in_children(void (*)()) {}  // there is no fork

// Windows counts the time of a thread in steps of 1/64 s.
double thread_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

bool allows_amx() { return false; }

bool enables_avx512_on_demand() { return false; }

ArmExtensions arm_extensions() {
  constexpr int kDotProduct = 43;  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE
  constexpr int kI8mm = 66;        // PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE
  constexpr int kBf16 = 68;        // PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE
  const auto has = [](int feature) { return IsProcessorFeaturePresent(feature) != 0; };
  return {has(kDotProduct), has(kI8mm), has(kBf16)};
}

}  // namespace ghostnet::cpu::system
