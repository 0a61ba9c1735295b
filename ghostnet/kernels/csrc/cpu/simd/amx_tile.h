// The tiles of AMX, the matrix unit of some x86 processors: their shape, and whether this process
// can use them.
#pragma once

namespace ghostnet::cpu::amx {

constexpr int kTileRows = 16;
constexpr int kTileRowBytes = 64;  // 16 floats or 32 bfloat16
constexpr int kTileFloats = kTileRows * kTileRowBytes / static_cast<int>(sizeof(float));
constexpr int kTileDepth = 32;  // products that one instruction adds to each sum

// Whether the processor has AMX for bfloat16 and the system lets this process use it.
bool is_available();

}  // namespace ghostnet::cpu::amx
