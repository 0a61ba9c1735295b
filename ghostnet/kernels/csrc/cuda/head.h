// The head: the last ConvUnit with the mean of its maps, the head's convolution, the classifier.
#pragma once

#include "dense.h"
#include "pointwise.h"
#include "channel_sums.h"

namespace ghostnet::cuda {

// The last ConvUnit; its map never exists as a whole, a block of it is summed as soon as it is
// there. A block has some pixels of one image.
template <class T>
struct LastKernel {
  struct Registers {
    Sums sums;
    Quad totals[1];
  };

  Pointwise layer;
  Activation activation;
  Grid grid;
  Tile tile;
  MapSource<T> source;
  float* totals;  // [image][region][channel]

  GHOSTNET_HOST_DEVICE int regions() const { return ceil_div(grid.image_pixels(), tile.pixels); }

  Launch size() const {
    return {grid.images * regions() * tile.chunks(layer.quads()), tile.threads(),
            tile.pixels + max(max(tile.staging_floats(), tile.value_floats()),
                              totals_floats(tile, 1))};
  }

  GHOSTNET_DEVICE void run(Team<Registers>& team, int block, float* shared) const {
    const int chunks = tile.chunks(layer.quads());
    const int first_quad = block % chunks * tile.quads;
    const int region = block / chunks;
    const int begin = region % regions() * tile.pixels;
    const int count = min(tile.pixels, grid.image_pixels() - begin);
    int* const pixels = reinterpret_cast<int*>(shared);
    float* const values = shared + tile.pixels;
    team.each([&](int thread, Registers&) {
      const int first = region / regions() * grid.image_pixels() + begin;
      for (int i = thread; i < count; i += tile.threads()) pixels[i] = first + i;
    });
    multiply<T>(team, Product<MapSource<T>>{tile, layer, source, first_quad, pixels, count, values},
                activation, values);
    team.each([&](int thread, Registers& own) {
      own.totals[0] = Quad{};
      for (int i = thread; i < count * tile.quads; i += tile.threads()) {
        own.totals[0] = own.totals[0] + load(values + 4 * i);
      }
    });
    add_up<1>(team, tile, values, [&](int, int quad, const Quad& total) {
      if (first_quad + quad >= layer.quads()) return;
      store(totals + static_cast<std::int64_t>(region) * layer.out + 4 * (first_quad + quad),
            total);
    });
  }
};

}  // namespace ghostnet::cuda
