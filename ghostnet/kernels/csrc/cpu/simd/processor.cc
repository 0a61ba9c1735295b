#include "simd/processor.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdint>

#include "system/system.h"

namespace ghostnet::cpu {
namespace {

constexpr std::uint32_t bit(Extension extension) { return 1U << static_cast<int>(extension); }

#if defined(__x86_64__)

// States of the processor that the system saves, as xgetbv returns them.
constexpr std::uint64_t kAvx = 0x6;
constexpr std::uint64_t kAvx512 = kAvx | 0xe0;
constexpr std::uint64_t kAmx = 0x60000;

// Where cpuid tells of an extension.
struct Entry {
  Extension extension;
  const char* name;
  unsigned leaf;
  unsigned subleaf;
  unsigned word;  // EAX, EBX, ECX, EDX
  unsigned bit;
  std::uint64_t states;
};

constexpr Entry kEntries[] = {
    {Extension::kAvx2, "avx2", 7, 0, 1, 5, kAvx},
    {Extension::kFma, "fma", 1, 0, 2, 12, kAvx},
    {Extension::kAvx512f, "avx512f", 7, 0, 1, 16, kAvx512},
    {Extension::kAvx512bw, "avx512bw", 7, 0, 1, 30, kAvx512},
    {Extension::kAvx512dq, "avx512dq", 7, 0, 1, 17, kAvx512},
    {Extension::kAvx512vl, "avx512vl", 7, 0, 1, 31, kAvx512},
    {Extension::kAvx512Vnni, "avx512_vnni", 7, 0, 2, 11, kAvx512},
    {Extension::kAvxVnni, "avx_vnni", 7, 1, 0, 4, kAvx},
    {Extension::kAvx512Bf16, "avx512_bf16", 7, 1, 0, 5, kAvx512},
    {Extension::kAmxTile, "amx_tile", 7, 0, 3, 24, kAmx},
    {Extension::kAmxInt8, "amx_int8", 7, 0, 3, 25, kAmx},
    {Extension::kAmxBf16, "amx_bf16", 7, 0, 3, 22, kAmx},
};

bool is_set(const Entry& entry) {
  unsigned words[4];
  return __get_cpuid_count(entry.leaf, entry.subleaf, &words[0], &words[1], &words[2], &words[3]) !=
             0 &&
         (words[entry.word] >> entry.bit & 1) != 0;
}

std::uint64_t saved_states() {
  constexpr Entry kReadable{{}, "osxsave", 1, 0, 2, 27, 0};
  if (!is_set(kReadable)) return 0;
  std::uint32_t low, high;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const std::uint64_t states = std::uint64_t{high} << 32 | low;
  return system::enables_avx512_on_demand() ? states | kAvx512 : states;
}

std::uint32_t detect() {
  const std::uint64_t saved = saved_states();
  std::uint32_t found = 0;
  for (const Entry& entry : kEntries) {
    if ((entry.states & ~saved) == 0 && is_set(entry)) found |= bit(entry.extension);
  }
  return found;
}

#else

struct Entry {
  Extension extension;
  const char* name;
};

constexpr Entry kEntries[] = {
    {Extension::kDotProduct, "asimddp"}, {Extension::kI8mm, "i8mm"}, {Extension::kBf16, "bf16"}};

std::uint32_t detect() {
  const system::ArmExtensions arm = system::arm_extensions();
  return (arm.dot_product ? bit(Extension::kDotProduct) : 0) |
         (arm.i8mm ? bit(Extension::kI8mm) : 0) | (arm.bf16 ? bit(Extension::kBf16) : 0);
}

#endif

}  // namespace

bool has(Extension extension) {
  static const std::uint32_t found = detect();
  return (found & bit(extension)) != 0;
}

std::string extension_names() {
  std::string names;
  for (const Entry& entry : kEntries) {
    if (has(entry.extension)) names.append(entry.name).append(" ");
  }
  return names;
}

}  // namespace ghostnet::cpu
