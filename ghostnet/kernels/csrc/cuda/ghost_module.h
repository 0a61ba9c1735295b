// A Ghost module as one kernel: its pointwise convolution, its cheap operation, and what can follow
// it without another channel: downsampling, the sums for squeeze-excite, the addition of a residual.
//
// A block has a rectangle of pixels and some quads of primary channels. The primary map, a pixel
// more on each side, is computed into shared memory; the cheap operation reads it there; both halves
// go straight to their places in the concatenated output. With downsampling the cheap half stays in
// shared memory too, and the expanded map exists only at the smaller size.
#pragma once

#include "depthwise.h"
#include "ghost_tile.h"
#include "pointwise.h"
#include "channel_sums.h"

namespace ghostnet::cuda {

template <class T>
struct GhostKernel {
  struct Registers {
    Sums sums;
    Quad totals[2];
  };

  GhostModule module;
  Depthwise downsample;  // without a kernel where there is none
  Activation activation;
  GhostTile plan;
  Grid grid;  // of the input
  MapSource<T> source;
  const T* residual;  // what is added to the output, or null
  T* out;
  float* totals;  // [image][region][channel], or null

  Launch size() const {
    const Tile& tile = plan.tile;
    const int values = tile.value_floats() + plan.cheap_pixels * tile.channels();
    const int adding = totals == nullptr ? 0 : totals_floats(tile, 2);
    return {plan.tiling.regions() * tile.chunks(module.primary.quads()), tile.threads(),
            tile.pixels + max(max(tile.staging_floats(), values), adding)};
  }

  // Where a block works.
  struct Site {
    int region;
    int first_quad;
    Region output;
    Region expanded;  // what the output is made of, where it is downsampled
    Region around;    // what the cheap operation reads
    float* primary;   // [pixel of around][channel of the tile]
    float* cheap;     // [pixel of expanded][channel of the tile]
  };

  GHOSTNET_DEVICE Site site(int block, float* memory) const {
    const int chunks = plan.tile.chunks(module.primary.quads());
    const int region = block / chunks;
    const Region output = plan.tiling.region(region);
    const Region expanded =
        downsample.kernel > 0 ? output.under(downsample.kernel, 2, grid) : output;
    const Region around = expanded.widened(1, grid);
    return {region, block % chunks * plan.tile.quads, output, expanded, around, memory,
            memory + around.pixels() * plan.tile.channels()};
  }

  GHOSTNET_DEVICE void run(Team<Registers>& team, int block, float* shared) const {
    const Tile& tile = plan.tile;
    const Site at = site(block, shared + tile.pixels);
    int* const pixels = reinterpret_cast<int*>(shared);
    team.each([&](int thread, Registers& own) {
      own.totals[0] = own.totals[1] = Quad{};
      for (int i = thread; i < at.around.pixels(); i += tile.threads()) {
        pixels[i] = pixel_of(grid, at.around.position(i));
      }
    });
    const Product<MapSource<T>> product{
        tile, module.primary, source, at.first_quad, pixels, at.around.pixels(), at.primary};
    multiply<T>(team, product, activation, at.primary);
    if (downsample.kernel > 0) {
      team.each([&](int thread, Registers&) { keep_cheap(at, thread); });
      team.each([&](int thread, Registers& own) { write_downsampled(at, thread, own); });
    } else {
      team.each([&](int thread, Registers& own) { write_halves(at, thread, own); });
    }
    if (totals != nullptr) {
      add_up<2>(team, tile, at.primary, [&](int half, int quad, const Quad& total) {
        write_total(at, half, quad, total);
      });
    }
  }

  // Calls visit(pixel number, position, quad of the tile) for a thread's part of a region.
  template <class Visit>
  GHOSTNET_DEVICE void visit_pixels(const Site& at, const Region& region, int thread,
                                    const Visit& visit) const {
    const int quad = thread % plan.tile.quads;
    if (at.first_quad + quad >= module.primary.quads()) return;
    const int step = plan.tile.threads() / plan.tile.quads;
    for (int i = thread / plan.tile.quads; i < region.pixels(); i += step) {
      visit(i, region.position(i), quad);
    }
  }

  // A quad of a map in shared memory; zero outside its region, which ends at the picture's border.
  GHOSTNET_DEVICE Quad value(const float* map, const Region& region, const Position& at,
                             int quad) const {
    const int index = region.index(at);
    return index < 0 ? Quad{} : load(map + (index * plan.tile.quads + quad) * 4);
  }

  // A thread's filter of the cheap operation, in registers.
  struct CheapFilter {
    Quad taps[10];
  };

  GHOSTNET_DEVICE CheapFilter cheap_filter(const Site& at, int thread) const {
    const int quad = min(at.first_quad + thread % plan.tile.quads, module.primary.quads() - 1);
    CheapFilter filter;
    GHOSTNET_UNROLL
    for (int tap = 0; tap < 10; ++tap) filter.taps[tap] = module.cheap.filter(quad)[tap];
    return filter;
  }

  GHOSTNET_DEVICE Quad cheap_at(const Site& at, const CheapFilter& filter, const Position& here,
                                int quad) const {
    const auto read = [&](int row, int column) {
      return value(at.primary, at.around, {here.image, row, column}, quad);
    };
    return rounded<T>(
        activate(activation, depthwise<3>(filter.taps, here.row - 1, here.column - 1, read)));
  }

  GHOSTNET_DEVICE void keep_cheap(const Site& at, int thread) const {
    const CheapFilter filter = cheap_filter(at, thread);
    visit_pixels(at, at.expanded, thread, [&](int i, const Position& here, int quad) {
      store(at.cheap + (i * plan.tile.quads + quad) * 4, cheap_at(at, filter, here, quad));
    });
  }

  GHOSTNET_DEVICE void write_halves(const Site& at, int thread, Registers& own) const {
    const CheapFilter filter = cheap_filter(at, thread);
    visit_pixels(at, at.output, thread, [&](int, const Position& here, int quad) {
      write(at, here, 0, quad, value(at.primary, at.around, here, quad), own);
      write(at, here, 1, quad, cheap_at(at, filter, here, quad), own);
    });
  }

  GHOSTNET_DEVICE void write_downsampled(const Site& at, int thread, Registers& own) const {
    visit_pixels(at, at.output, thread, [&](int, const Position& here, int quad) {
      write(at, here, 0, quad, downsampled(at, 0, at.primary, at.around, here, quad), own);
      write(at, here, 1, quad, downsampled(at, 1, at.cheap, at.expanded, here, quad), own);
    });
  }

  GHOSTNET_DEVICE Quad downsampled(const Site& at, int half, const float* map, const Region& region,
                                   const Position& here, int quad) const {
    const auto read = [&](int row, int column) {
      return value(map, region, {here.image, row, column}, quad);
    };
    const int channels = half * module.primary.quads() + at.first_quad + quad;
    return rounded<T>(depthwise(downsample, 2, channels, here.row, here.column, read));
  }

  GHOSTNET_DEVICE int channel(const Site& at, int half, int quad) const {
    return half * module.half() + 4 * (at.first_quad + quad);
  }

  GHOSTNET_DEVICE void write(const Site& at, const Position& here, int half, int quad, Quad value,
                             Registers& own) const {
    own.totals[half] = own.totals[half] + value;
    const std::int64_t place =
        static_cast<std::int64_t>(pixel_of(plan.tiling.grid, here)) * module.channels() +
        channel(at, half, quad);
    if (residual != nullptr) value = value + load(residual + place);
    store(out + place, value);
  }

  GHOSTNET_DEVICE void write_total(const Site& at, int half, int quad, const Quad& total) const {
    if (at.first_quad + quad >= module.primary.quads()) return;
    store(totals + static_cast<std::int64_t>(at.region) * module.channels() +
              channel(at, half, quad),
          total);
  }
};

}  // namespace ghostnet::cuda
