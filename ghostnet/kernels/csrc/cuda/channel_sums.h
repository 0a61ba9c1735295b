// Sums over the pixels of a channel, from which squeeze-excite and the head take means.
#pragma once

#include <cstdint>

#include "float4.h"
#include "tile.h"

namespace ghostnet::cuda {

// Sums [image][region of the image][channel], and the factor from the sum over all regions to the
// mean.
struct ChannelSums {
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

// The shared memory of reduce_threads().
GHOSTNET_HOST_DEVICE inline int reduction_floats(const Tile& tile, int halves) {
  return 4 * halves * tile.threads();
}

// Adds up own.channel_sums[half] of the threads with the same quad, and passes the results to
// write(half, quad, sum). Thread t has quad t mod tile.quads.
template <int kHalves, class Registers, class Write>
GHOSTNET_DEVICE void reduce_threads(ThreadBlock<Registers>& threads, const Tile& tile,
                                    float* shared, const Write& write) {
  threads.each([&](int thread, Registers& own) {
    GHOSTNET_UNROLL
    for (int half = 0; half < kHalves; ++half) {
      store(shared + 4 * (half * tile.threads() + thread), own.channel_sums[half]);
    }
  });
  threads.each([&](int thread, Registers&) {
    for (int i = thread; i < kHalves * tile.quads; i += tile.threads()) {
      const int half = i / tile.quads;
      const int quad = i % tile.quads;
      Float4 sum{};
      for (int other = quad; other < tile.threads(); other += tile.quads) {
        sum = sum + load(shared + 4 * (half * tile.threads() + other));
      }
      write(half, quad, sum);
    }
  });
}

}  // namespace ghostnet::cuda
