// The tile of a matrix product that one thread block computes, and the choice of its size.
#pragma once

#include "geometry.h"

namespace ghostnet::cuda {

constexpr int kThreadPixels = 8;

// `pixels` × 4 · `quads` outputs. Each thread computes kThreadPixels pixels × one quad, and adds up
// every `k_splits`-th input channel. Input channels come into shared memory slice by slice.
struct Tile {
  int pixels;  // a multiple of kThreadPixels
  int quads;
  int k_splits;
  int slice_bits;  // a slice has 4 << slice_bits input channels

  GHOSTNET_HOST_DEVICE int pixel_groups() const { return pixels / kThreadPixels; }
  GHOSTNET_HOST_DEVICE int threads() const { return pixel_groups() * quads * k_splits; }
  GHOSTNET_HOST_DEVICE int channels() const { return 4 * quads; }
  GHOSTNET_HOST_DEVICE int slice() const { return 4 << slice_bits; }

  // Floats from one input channel to the next in shared memory; chosen so that channels begin in
  // different banks.
  GHOSTNET_HOST_DEVICE int pitch() const { return pixels + 4; }

  GHOSTNET_HOST_DEVICE int staging_floats() const { return slice() * (pitch() + channels()); }
  GHOSTNET_HOST_DEVICE int value_floats() const { return pixels * channels(); }

  // The number of tiles that cover all quads of a layer.
  GHOSTNET_HOST_DEVICE int tiles_for(int all_quads) const { return ceil_div(all_quads, quads); }
};

// The limits of a tile and the constants of the cost model. They follow from the sizes of a GPU;
// they are not tuned to timings.
struct TilePolicy {
  int max_threads = kMaxThreads;
  int max_quads = 8;
  int max_pixels = 512;
  int min_pixels = 64;
  int max_value_floats = 8192;     // of one map in shared memory
  int max_staging_floats = 4096;   // of a slice of input channels
  int fetch_cost = 8;              // of an input value, in multiply-adds
  int saturating_threads = 32768;  // that keep a whole GPU busy
  int max_k_splits = 8;
};

// The most pixels of a tile with so many quads.
inline int capacity(const TilePolicy& policy, int quads) {
  const int by_threads = policy.max_threads / quads * kThreadPixels;
  const int by_values = policy.max_value_floats / (4 * quads) / kThreadPixels * kThreadPixels;
  return min(policy.max_pixels, min(by_threads, by_values));
}

// What a tile is made for.
struct TileDemand {
  int pixels;  // the fewest of the tile
  int quads;   // of the tile
  int in;      // input channels of the layer
  int tiles;   // that the layer takes
};

// Completes a tile: splits the input channels where a GPU would otherwise have too few threads, and
// takes as large a slice as there is memory for.
inline Tile make_tile(const TilePolicy& policy, const TileDemand& demand) {
  Tile tile{ceil_div(demand.pixels, kThreadPixels) * kThreadPixels, demand.quads, 1, 0};
  while (2 * tile.k_splits <= policy.max_k_splits &&
         demand.tiles * tile.threads() < policy.saturating_threads &&
         2 * tile.threads() <= policy.max_threads && 32 * tile.k_splits <= demand.in) {
    tile.k_splits *= 2;
  }
  while (2 * tile.staging_floats() <= policy.max_staging_floats && tile.slice() < demand.in) {
    ++tile.slice_bits;
  }
  return tile;
}

// The estimated time of a product, in multiply-adds of one thread. With fewer threads than saturate
// the GPU it is the time of one thread; with more it grows in proportion.
inline double estimate_time(const TilePolicy& policy, const Tile& tile, int in, int tiles) {
  const double products = 4.0 * kThreadPixels * in / tile.k_splits;
  const double fetches = static_cast<double>(policy.fetch_cost) * in * tile.pixels / tile.threads();
  const double threads = static_cast<double>(tiles) * tile.threads();
  return (products + fetches) * max(1.0, threads / policy.saturating_threads);
}

}  // namespace ghostnet::cuda
