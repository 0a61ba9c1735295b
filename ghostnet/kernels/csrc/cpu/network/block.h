// What the blocks of both kinds share.
#pragma once

#include <cstddef>

#include "network/context.h"
#include "network/model.h"
#include "ops/attention.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "simd/prefetch.h"

namespace ghostnet::cpu {

struct BlockParams {
  const Bottleneck& block;
  const Grid& in_grid;
  const Grid& out_grid;
  const GateGrid& gates;  // of the attention, if the block has one
  Planes in;
  Planes out;
  PrefetchTargets next_dense;  // weights of the dense layers after this block's
};

// Adds two planes over a span of positions.
template <int Lanes>
void add(const float* a, const float* b, float* out, Range span) {
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    store_first<Lanes>(out + p, load<Lanes>(a + p) + load<Lanes>(b + p), span.end - p);
  }
}

}  // namespace ghostnet::cpu
