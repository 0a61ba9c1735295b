#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/dense.h"
#include "simd/rounding.h"

namespace ghostnet::cpu {
namespace {

void put(Float32Weights& group, int vector, int lane, float weight) {
  group.values[vector][lane] = weight;
}

void put(Float24Weights& group, int vector, int lane, float weight) {
  const std::uint32_t bits = rounded_bits(weight, 8);
  if (vector < kGroupVectors - 1) {
    group.words[vector][lane] |= bits;
  } else {
    for (int i = 0; i < vector; ++i) group.words[i][lane] |= bits >> (24 - 8 * i) & 0xFF;
  }
}

void put(Bfloat16Weights& group, int vector, int lane, float weight) {
  const std::uint32_t bits = rounded_bits(weight, 16);
  group.words[vector / 2][lane] |= vector % 2 == 0 ? bits >> 16 : bits;
}

// Bytes are in the order of the inputs.
void put(Int8Group& group, int vector, int lane, float weight) {
  auto* const bytes = reinterpret_cast<std::int8_t*>(group.words);
  bytes[vector * kMaxLanes + lane] = static_cast<std::int8_t>(weight);
}

template <class Group>
void pack(const float* weights, int out, int in, float* packed) {
  auto* row = reinterpret_cast<Group*>(packed);
  for (int n = 0; n < out; ++n, row += Dense::groups(in)) {
    for (int k = 0; k < in; ++k) {
      put(row[k / kGroupWeights], k % kGroupWeights / kMaxLanes, k % kMaxLanes,
          weights[std::ptrdiff_t{n} * in + k]);
    }
  }
}

}  // namespace

void pack_dense(WeightFormat format, const float* weights, int out, int in, float* packed) {
  std::fill_n(packed, Dense::size(format, out, in), 0.0F);
  switch (format) {
    case WeightFormat::kFloat32:
      return pack<Float32Weights>(weights, out, in, packed);
    case WeightFormat::kFloat24:
      return pack<Float24Weights>(weights, out, in, packed);
    case WeightFormat::kBfloat16:
      return pack<Bfloat16Weights>(weights, out, in, packed);
    case WeightFormat::kInt8:
      return pack<Int8Group>(weights, out, in, packed);
  }
}

}  // namespace ghostnet::cpu
