// How the threads of a block share a product, and the choice of it.
#pragma once

#include "geometry.h"

namespace ghostnet::cuda {

constexpr int kThreadPixels = 8;

// A block computes `pixels` × 4 · `quads` outputs. Each thread has kThreadPixels pixels and a quad
// of channels, and takes each `parts`-th input channel. Input channels come into shared memory
// 4 << slice_bits at a time.
struct Tile {
  int pixels;  // a multiple of kThreadPixels
  int quads;
  int parts;
  int slice_bits;

  GHOSTNET_HOST_DEVICE int groups() const { return pixels / kThreadPixels; }
  GHOSTNET_HOST_DEVICE int threads() const { return groups() * quads * parts; }
  GHOSTNET_HOST_DEVICE int channels() const { return 4 * quads; }
  GHOSTNET_HOST_DEVICE int slice() const { return 4 << slice_bits; }

  // Of one channel's inputs in shared memory: rows that begin in different banks.
  GHOSTNET_HOST_DEVICE int pitch() const { return pixels + 4; }

  GHOSTNET_HOST_DEVICE int staging_floats() const { return slice() * (pitch() + channels()); }
  GHOSTNET_HOST_DEVICE int value_floats() const { return pixels * channels(); }

  GHOSTNET_HOST_DEVICE int chunks(int all_quads) const { return ceil_div(all_quads, quads); }
};

// What the choice of tiles rests on. None of it has been measured.
struct TilePolicy {
  int threads = kMaxThreads;
  int quads = 8;
  int pixels = 512;
  int least_pixels = 64;
  int value_floats = 8192;    // of one map in shared memory
  int staging_floats = 4096;  // of a slice of input channels
  int fetch_cost = 8;         // of an input value, in multiply-adds
  int busy_threads = 32768;   // that keep a whole GPU at work
  int parts = 8;
};

// The most pixels of a tile with that many quads.
inline int capacity(const TilePolicy& policy, int quads) {
  const int by_threads = policy.threads / quads * kThreadPixels;
  const int by_values = policy.value_floats / (4 * quads) / kThreadPixels * kThreadPixels;
  return min(policy.pixels, min(by_threads, by_values));
}

// Completes a tile of at least that many pixels and that many quads: more parts where a GPU would
// have too little to do, and as large a slice as there is room for.
inline Tile make_tile(const TilePolicy& policy, int pixels, int quads, int in, int blocks) {
  Tile tile{ceil_div(pixels, kThreadPixels) * kThreadPixels, quads, 1, 0};
  while (2 * tile.parts <= policy.parts && blocks * tile.threads() < policy.busy_threads &&
         2 * tile.threads() <= policy.threads && 32 * tile.parts <= in) {
    tile.parts *= 2;
  }
  while (2 * tile.staging_floats() <= policy.staging_floats && tile.slice() < in) {
    ++tile.slice_bits;
  }
  return tile;
}

// How long a product takes, in multiply-adds of one thread: as long as a thread does, where there
// are fewer than keep the GPU at work, and in proportion to their number where there are more.
inline double duration(const TilePolicy& policy, const Tile& tile, int in, int blocks) {
  const double products = 4.0 * kThreadPixels * in / tile.parts;
  const double fetches = static_cast<double>(policy.fetch_cost) * in * tile.pixels / tile.threads();
  const double threads = static_cast<double>(blocks) * tile.threads();
  return (products + fetches) * max(1.0, threads / policy.busy_threads);
}

}  // namespace ghostnet::cuda
