// Four channels of a pixel: what a thread loads, computes and stores at once. Memory holds float or
// Half; registers hold float.
#pragma once

#include "kernel.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace ghostnet::cuda {

#ifdef __CUDACC__
using Half = __half;
#else
using Half = _Float16;
#endif

struct alignas(16) Quad {
  float values[4];

  GHOSTNET_DEVICE float& operator[](int i) { return values[i]; }
  GHOSTNET_DEVICE float operator[](int i) const { return values[i]; }
};

// In memory, aligned so that it moves in one instruction.
template <class T>
struct alignas(4 * sizeof(T)) PackedQuad {
  T values[4];
};

template <class T>
GHOSTNET_DEVICE Quad load(const T* from) {
  const PackedQuad<T> packed = *reinterpret_cast<const PackedQuad<T>*>(from);
  Quad quad;
  for (int i = 0; i < 4; ++i) quad[i] = static_cast<float>(packed.values[i]);
  return quad;
}

template <class T>
GHOSTNET_DEVICE void store(T* to, const Quad& quad) {
  PackedQuad<T> packed;
  for (int i = 0; i < 4; ++i) packed.values[i] = static_cast<T>(quad[i]);
  *reinterpret_cast<PackedQuad<T>*>(to) = packed;
}

GHOSTNET_DEVICE inline Quad operator+(Quad a, const Quad& b) {
  for (int i = 0; i < 4; ++i) a[i] += b[i];
  return a;
}

GHOSTNET_DEVICE inline Quad operator*(Quad a, const Quad& b) {
  for (int i = 0; i < 4; ++i) a[i] *= b[i];
  return a;
}

GHOSTNET_DEVICE inline Quad operator*(Quad a, float b) {
  for (int i = 0; i < 4; ++i) a[i] *= b;
  return a;
}

// What a map of T keeps of a value.
template <class T>
GHOSTNET_DEVICE Quad rounded(Quad a) {
  for (int i = 0; i < 4; ++i) a[i] = static_cast<float>(static_cast<T>(a[i]));
  return a;
}

}  // namespace ghostnet::cuda
