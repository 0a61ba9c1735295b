// The last ConvUnit and the mean of its map.
#pragma once

#include <cstdint>

#include "channel_sums.h"
#include "pointwise.h"

namespace ghostnet::cuda {

// Computes the sums of the last ConvUnit's map, which never exists as a whole: each thread block
// computes a tile, of pixels of one image, and sums it at once.
template <class T>
struct LastUnitKernel {
  struct Registers {
    Accumulators sums;
    Float4 channel_sums[1];
  };

  Pointwise layer;
  Activation activation;
  Grid grid;
  Tile tile;
  MapSource<T> source;
  float* sums;  // [image][region][channel]

  GHOSTNET_HOST_DEVICE int regions() const { return ceil_div(grid.image_pixels(), tile.pixels); }

  LaunchSize size() const {
    return {grid.images * regions() * tile.tiles_for(layer.quads()), tile.threads(),
            tile.pixels +
                max(max(tile.staging_floats(), tile.value_floats()), reduction_floats(tile, 1))};
  }

  GHOSTNET_DEVICE void run(ThreadBlock<Registers>& threads, int block_index, float* shared) const {
    const int quad_tiles = tile.tiles_for(layer.quads());
    const int first_quad = block_index % quad_tiles * tile.quads;
    const int region = block_index / quad_tiles;
    const int begin = region % regions() * tile.pixels;
    const int count = min(tile.pixels, grid.image_pixels() - begin);
    int* const pixels = reinterpret_cast<int*>(shared);
    float* const values = shared + tile.pixels;
    threads.each([&](int thread, Registers&) {
      const int first = region / regions() * grid.image_pixels() + begin;
      for (int i = thread; i < count; i += tile.threads()) pixels[i] = first + i;
    });
    const TileProduct<MapSource<T>> product{tile, layer, source, first_quad, pixels, count, values};
    multiply<T>(threads, product, activation, values);
    threads.each([&](int thread, Registers& own) {
      own.channel_sums[0] = Float4{};
      for (int i = thread; i < count * tile.quads; i += tile.threads()) {
        own.channel_sums[0] = own.channel_sums[0] + load(values + 4 * i);
      }
    });
    reduce_threads<1>(threads, tile, values, [&](int, int quad, const Float4& sum) {
      if (first_quad + quad >= layer.quads()) return;
      store(sums + static_cast<std::int64_t>(region) * layer.out + 4 * (first_quad + quad), sum);
    });
  }
};

}  // namespace ghostnet::cuda
