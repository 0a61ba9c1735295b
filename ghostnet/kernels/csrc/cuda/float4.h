// Vectors of four floats. A quad is four adjacent channels of a pixel, the unit that a thread
// loads, computes and stores at once: a Float4 in registers, four float or Half in memory.
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

struct alignas(16) Float4 {
  float values[4];

  GHOSTNET_DEVICE float& operator[](int i) { return values[i]; }
  GHOSTNET_DEVICE float operator[](int i) const { return values[i]; }
};

// A quad in memory, aligned so that one instruction moves it.
template <class T>
struct alignas(4 * sizeof(T)) StoredQuad {
  T values[4];
};

template <class T>
GHOSTNET_DEVICE Float4 load(const T* from) {
  const StoredQuad<T> stored = *reinterpret_cast<const StoredQuad<T>*>(from);
  Float4 value;
  for (int i = 0; i < 4; ++i) value[i] = static_cast<float>(stored.values[i]);
  return value;
}

template <class T>
GHOSTNET_DEVICE void store(T* to, const Float4& value) {
  StoredQuad<T> stored;
  for (int i = 0; i < 4; ++i) stored.values[i] = static_cast<T>(value[i]);
  *reinterpret_cast<StoredQuad<T>*>(to) = stored;
}

GHOSTNET_DEVICE inline Float4 operator+(Float4 a, const Float4& b) {
  for (int i = 0; i < 4; ++i) a[i] += b[i];
  return a;
}

GHOSTNET_DEVICE inline Float4 operator*(Float4 a, const Float4& b) {
  for (int i = 0; i < 4; ++i) a[i] *= b[i];
  return a;
}

GHOSTNET_DEVICE inline Float4 operator*(Float4 a, float b) {
  for (int i = 0; i < 4; ++i) a[i] *= b;
  return a;
}

// Rounds each value to the nearest T.
template <class T>
GHOSTNET_DEVICE Float4 rounded(Float4 a) {
  for (int i = 0; i < 4; ++i) a[i] = static_cast<float>(static_cast<T>(a[i]));
  return a;
}

}  // namespace ghostnet::cuda
