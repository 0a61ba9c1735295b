#include "simd/amx_tile.h"

#include "simd/processor.h"
#include "system/system.h"

namespace ghostnet::cpu::amx {

bool is_available() {
#if defined(GHOSTNET_AMX)
  static const bool available = has(Extension::kAmxTile) && has(Extension::kAmxBf16) &&
                                has(Extension::kAvx512Bf16) && system::allows_amx();
  return available;
#else
  return false;
#endif
}

}  // namespace ghostnet::cpu::amx
