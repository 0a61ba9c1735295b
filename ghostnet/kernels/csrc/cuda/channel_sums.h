// Sums over the pixels of a tile, for the means that squeeze-excite and the head read.
#pragma once

#include "tile.h"
#include "float4.h"

namespace ghostnet::cuda {

// [image][region of the image][channel], and what turns the regions' sum into a mean.
struct Totals {
  const float* sums;
  int regions;
  int channels;
  float scale;

  GHOSTNET_DEVICE float mean(int image, int channel) const {
    const float* from = sums + static_cast<std::int64_t>(image) * regions * channels + channel;
    float total = 0;
    for (int region = 0; region < regions; ++region) total += from[region * channels];
    return total * scale;
  }
};

GHOSTNET_HOST_DEVICE inline int totals_floats(const Tile& tile, int halves) {
  return 4 * halves * tile.threads();
}

// Adds up own.totals[half] of the threads that share a quad and gives write(half, quad, total) the
// results. Thread t has quad t mod tile.quads.
template <int kHalves, class Registers, class Write>
GHOSTNET_DEVICE void add_up(Team<Registers>& team, const Tile& tile, float* shared,
                            const Write& write) {
  team.each([&](int thread, Registers& own) {
    GHOSTNET_UNROLL
    for (int half = 0; half < kHalves; ++half) {
      store(shared + 4 * (half * tile.threads() + thread), own.totals[half]);
    }
  });
  team.each([&](int thread, Registers&) {
    for (int i = thread; i < kHalves * tile.quads; i += tile.threads()) {
      const int half = i / tile.quads;
      const int quad = i % tile.quads;
      Quad total{};
      for (int other = quad; other < tile.threads(); other += tile.quads) {
        total = total + load(shared + 4 * (half * tile.threads() + other));
      }
      write(half, quad, total);
    }
  });
}

}  // namespace ghostnet::cuda
