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
  int value_floats = 8192;    // of one map in shared memory
  int staging_floats = 4096;  // of a slice of input channels
  int fetch_cost = 8;         // of an input value, in multiply-adds
  int enough_blocks = 256;    // that keep a whole GPU at work
  int parts = 8;
};

// The most pixels of a tile with that many quads.
inline int capacity(const TilePolicy& policy, int quads) {
  const int by_threads = policy.threads / quads * kThreadPixels;
  const int by_values = policy.value_floats / (4 * quads) / kThreadPixels * kThreadPixels;
  return min(512, min(by_threads, by_values));
}

// Completes a tile of at least that many pixels and that many quads: more parts where there would
// be too few blocks, and as large a slice as there is room for.
inline Tile make_tile(const TilePolicy& policy, int pixels, int quads, int in, int blocks) {
  Tile tile{ceil_div(pixels, kThreadPixels) * kThreadPixels, quads, 1, 0};
  while (2 * tile.parts <= policy.parts && blocks * tile.parts < policy.enough_blocks &&
         2 * tile.threads() <= policy.threads && 32 * tile.parts <= in) {
    tile.parts *= 2;
  }
  while (2 * tile.staging_floats() <= policy.staging_floats && tile.slice() < in) {
    ++tile.slice_bits;
  }
  return tile;
}

}  // namespace ghostnet::cuda
