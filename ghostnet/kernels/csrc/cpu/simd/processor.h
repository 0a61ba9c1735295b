// What this processor has beyond what every processor of its architecture has.
#pragma once

#include <string>

namespace ghostnet::cpu {

enum class Extension {
  kAvx2,
  kFma,
  kAvx512f,
  kAvx512bw,
  kAvx512dq,
  kAvx512vl,
  kAvx512Vnni,
  kAvxVnni,
  kAvx512Bf16,
  kAmxTile,
  kAmxInt8,
  kAmxBf16,
  kDotProduct,  // from here on of ARM
  kI8mm,
  kBf16,
};

// Whether the processor has an extension, and the system saves its registers.
bool has(Extension extension);

// The names of all that it has, as Linux lists them in /proc/cpuinfo, each followed by a space.
std::string extension_names();

}  // namespace ghostnet::cpu
