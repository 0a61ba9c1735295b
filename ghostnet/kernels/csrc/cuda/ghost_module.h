// A Ghost module as one kernel: its pointwise convolution, its cheap operation, and what can follow
// without other channels: downsampling, the sums for squeeze-excite, the addition of a residual.
//
// A thread block has a rectangle of pixels and some quads of primary channels. It computes the
// primary map with a halo of one pixel into shared memory, where the cheap operation reads it. Both
// halves go straight to their places in the concatenated output. With downsampling the cheap half
// stays in shared memory too, and the expanded map exists only at the smaller size.
#pragma once

#include <cstdint>

#include "channel_sums.h"
#include "depthwise.h"
#include "ghost_tile.h"
#include "pointwise.h"

namespace ghostnet::cuda {

template <class T>
struct GhostKernel {
  struct Registers {
    Accumulators sums;
    Float4 channel_sums[2];  // of the primary and the cheap half
  };

  GhostModule module;
  Depthwise downsample;  // without a kernel where there is no downsampling
  Activation activation;
  GhostTile ghost_tile;
  Grid grid;  // of the input
  MapSource<T> source;
  const T* residual;  // added to the output, or null
  T* out;
  float* sums;  // [image][region][channel], or null

  LaunchSize size() const {
    const Tile& tile = ghost_tile.tile;
    const int values = tile.value_floats() + ghost_tile.cheap_pixels * tile.channels();
    const int reduction = sums == nullptr ? 0 : reduction_floats(tile, 2);
    return {ghost_tile.tiling.regions() * tile.tiles_for(module.primary.quads()), tile.threads(),
            tile.pixels + max(max(tile.staging_floats(), values), reduction)};
  }

  // What a thread block computes.
  struct Site {
    int region;
    int first_quad;
    Region output;
    Region expanded;     // what the output is downsampled from; else the output
    Region primary;      // what the cheap operation reads
    float* primary_map;  // [pixel of primary][channel of the tile]
    float* cheap_map;    // [pixel of expanded][channel of the tile], only with downsampling
  };

  GHOSTNET_DEVICE Site site(int block_index, float* memory) const {
    const Tile& tile = ghost_tile.tile;
    const int quad_tiles = tile.tiles_for(module.primary.quads());
    const int region = block_index / quad_tiles;
    const Region output = ghost_tile.tiling.region(region);
    const Region expanded =
        downsample.kernel > 0 ? output.receptive_field(downsample.kernel, 2, grid) : output;
    const Region primary = expanded.with_halo(1, grid);
    return {region, block_index % quad_tiles * tile.quads,      output, expanded, primary,
            memory, memory + primary.pixels() * tile.channels()};
  }

  GHOSTNET_DEVICE void run(ThreadBlock<Registers>& threads, int block_index, float* shared) const {
    const Tile& tile = ghost_tile.tile;
    const Site at = site(block_index, shared + tile.pixels);
    int* const pixels = reinterpret_cast<int*>(shared);
    threads.each([&](int thread, Registers& own) {
      own.channel_sums[0] = own.channel_sums[1] = Float4{};
      for (int i = thread; i < at.primary.pixels(); i += tile.threads()) {
        pixels[i] = pixel_of(grid, at.primary.position(i));
      }
    });
    const TileProduct<MapSource<T>> product{
        tile, module.primary, source, at.first_quad, pixels, at.primary.pixels(), at.primary_map};
    multiply<T>(threads, product, activation, at.primary_map);
    if (downsample.kernel > 0) {
      threads.each([&](int thread, Registers&) { keep_cheap(at, thread); });
      threads.each([&](int thread, Registers& own) { write_downsampled(at, thread, own); });
    } else {
      threads.each([&](int thread, Registers& own) { write_halves(at, thread, own); });
    }
    if (sums != nullptr) {
      reduce_threads<2>(threads, tile, at.primary_map, [&](int half, int quad, const Float4& sum) {
        write_sum(at, half, quad, sum);
      });
    }
  }

  // Calls visit(pixel index, position, quad of the tile) for a thread's part of a region.
  template <class Visit>
  GHOSTNET_DEVICE void visit_pixels(const Site& at, const Region& region, int thread,
                                    const Visit& visit) const {
    const int quad = thread % ghost_tile.tile.quads;
    if (at.first_quad + quad >= module.primary.quads()) return;
    const int step = ghost_tile.tile.threads() / ghost_tile.tile.quads;
    for (int i = thread / ghost_tile.tile.quads; i < region.pixels(); i += step) {
      visit(i, region.position(i), quad);
    }
  }

  // A quad of a map in shared memory. A region holds all pixels of the image that are read, so a
  // pixel outside the region is outside the image, and zero.
  GHOSTNET_DEVICE Float4 value(const float* map, const Region& region, const Position& at,
                               int quad) const {
    const int index = region.index(at);
    return index < 0 ? Float4{} : load(map + (index * ghost_tile.tile.quads + quad) * 4);
  }

  // A thread's filter of the cheap operation, in registers; the last element is the bias.
  struct CheapFilter {
    static constexpr int kSize = 10;
    Float4 taps[kSize];
  };

  GHOSTNET_DEVICE CheapFilter cheap_filter(const Site& at, int thread) const {
    const int own_quad = at.first_quad + thread % ghost_tile.tile.quads;
    const int quad = min(own_quad, module.primary.quads() - 1);
    CheapFilter filter;
    GHOSTNET_UNROLL
    for (int i = 0; i < CheapFilter::kSize; ++i) filter.taps[i] = module.cheap.filter(quad)[i];
    return filter;
  }

  GHOSTNET_DEVICE Float4 cheap_at(const Site& at, const CheapFilter& filter, const Position& here,
                                  int quad) const {
    const auto read = [&](int row, int column) {
      return value(at.primary_map, at.primary, {here.image, row, column}, quad);
    };
    return rounded<T>(
        activate(activation, depthwise<3>(filter.taps, here.row - 1, here.column - 1, read)));
  }

  // Computes the cheap half into shared memory.
  GHOSTNET_DEVICE void keep_cheap(const Site& at, int thread) const {
    const CheapFilter filter = cheap_filter(at, thread);
    visit_pixels(at, at.expanded, thread, [&](int i, const Position& here, int quad) {
      float* const to = at.cheap_map + (i * ghost_tile.tile.quads + quad) * 4;
      store(to, cheap_at(at, filter, here, quad));
    });
  }

  GHOSTNET_DEVICE void write_halves(const Site& at, int thread, Registers& own) const {
    const CheapFilter filter = cheap_filter(at, thread);
    visit_pixels(at, at.output, thread, [&](int, const Position& here, int quad) {
      write(at, here, 0, quad, value(at.primary_map, at.primary, here, quad), own);
      write(at, here, 1, quad, cheap_at(at, filter, here, quad), own);
    });
  }

  GHOSTNET_DEVICE void write_downsampled(const Site& at, int thread, Registers& own) const {
    visit_pixels(at, at.output, thread, [&](int, const Position& here, int quad) {
      write(at, here, 0, quad, downsampled(at, 0, here, quad), own);
      write(at, here, 1, quad, downsampled(at, 1, here, quad), own);
    });
  }

  GHOSTNET_DEVICE Float4 downsampled(const Site& at, int half, const Position& here,
                                     int quad) const {
    const float* const map = half == 0 ? at.primary_map : at.cheap_map;
    const Region& region = half == 0 ? at.primary : at.expanded;
    const auto read = [&](int row, int column) {
      return value(map, region, {here.image, row, column}, quad);
    };
    const int channels = half * module.primary.quads() + at.first_quad + quad;
    return rounded<T>(depthwise(downsample, 2, channels, here, read));
  }

  // The first output channel of a quad of the tile, in one of the halves.
  GHOSTNET_DEVICE int channel(const Site& at, int half, int quad) const {
    return half * module.half() + 4 * (at.first_quad + quad);
  }

  GHOSTNET_DEVICE void write(const Site& at, const Position& here, int half, int quad, Float4 value,
                             Registers& own) const {
    own.channel_sums[half] = own.channel_sums[half] + value;
    const std::int64_t place =
        static_cast<std::int64_t>(pixel_of(ghost_tile.tiling.grid, here)) * module.channels() +
        channel(at, half, quad);
    if (residual != nullptr) value = value + load(residual + place);
    store(out + place, value);
  }

  GHOSTNET_DEVICE void write_sum(const Site& at, int half, int quad, const Float4& sum) const {
    if (at.first_quad + quad >= module.primary.quads()) return;
    store(sums + static_cast<std::int64_t>(at.region) * module.channels() + channel(at, half, quad),
          sum);
  }
};

}  // namespace ghostnet::cuda
