#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/dense.h"
#include "simd/rounding.h"

namespace ghostnet::cpu {
namespace {

void put(FullWeights& group, int vector, int lane, float weight) {
  group.values[vector][lane] = weight;
}

void put(ShortWeights& group, int vector, int lane, float weight) {
  const std::uint32_t bits = rounded_bits(weight, 8);
  if (vector < kGroupVectors - 1) {
    group.words[vector][lane] |= bits;
  } else {
    for (int i = 0; i < vector; ++i) group.words[i][lane] |= bits >> (24 - 8 * i) & 0xFF;
  }
}

template <class Weights>
void pack(const float* weights, int out, int in, float* packed) {
  std::fill_n(packed, DenseLayer<Weights>::size(out, in), 0.0F);
  auto* row = reinterpret_cast<Weights*>(packed);
  for (int n = 0; n < out; ++n, row += DenseLayer<Weights>::groups(in)) {
    for (int k = 0; k < in; ++k) {
      put(row[k / kGroupWeights], k % kGroupWeights / kMaxLanes, k % kMaxLanes,
          weights[std::ptrdiff_t{n} * in + k]);
    }
  }
}

}  // namespace

void pack_dense(const float* weights, int out, int in, float* packed) {
  pack<FullWeights>(weights, out, in, packed);
}

void pack_short_dense(const float* weights, int out, int in, float* packed) {
  pack<ShortWeights>(weights, out, in, packed);
}

}  // namespace ghostnet::cpu
