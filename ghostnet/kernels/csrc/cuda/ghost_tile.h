// The choice of tiles for a Ghost module.
#pragma once

#include "model.h"
#include "tile.h"

namespace ghostnet::cuda {

struct GhostTile {
  Tile tile;         // of the primary product
  Tiling tiling;     // of the output
  int cheap_pixels;  // of the cheap half in shared memory; 0 without downsampling
};

// Chooses the tile with the least estimated time.
class GhostTileChooser {
 public:
  GhostTileChooser(const GhostModule& module, const Depthwise& downsample, const Grid& in,
                   bool needs_sums)
      : module_(module),
        kernel_(downsample.kernel),
        stride_(kernel_ > 0 ? 2 : 1),
        in_(in),
        out_(in.strided_by(stride_)),
        needs_sums_(needs_sums) {}

  GhostTile best() const {
    GhostTile best{};
    double least = -1;
    for (int quads = min(policy_.max_quads, module_.primary.quads()); quads > 0; --quads) {
      for (int pixels = max_pixels(quads); pixels >= policy_.min_pixels; pixels /= 2) {
        const GhostTile candidate = complete(fewest_regions(pixels), quads, pixels);
        const double time = estimate_time(policy_, candidate.tile, module_.primary.in,
                                          tiles(candidate.tiling, quads));
        if (least >= 0 && time >= least) continue;
        least = time;
        best = candidate;
      }
    }
    return best;
  }

 private:
  // With downsampling, shared memory holds the cheap half too.
  int max_pixels(int quads) const { return capacity(policy_, quads) / (kernel_ > 0 ? 2 : 1); }

  // Rows (or columns) of the expanded map that `size` rows of output need, of `all`.
  int expanded(int size, int all) const {
    return kernel_ > 0 ? min(all, (size - 1) * stride_ + kernel_) : size;
  }

  // Pixels of the expanded map, of one image of a tile.
  int expanded_pixels(const Tiling& tiling) const {
    return expanded(tiling.rows, in_.height) * expanded(tiling.columns, in_.width);
  }

  // Pixels of the primary map, of one image of a tile: the expanded map with a halo of one.
  int primary_pixels(const Tiling& tiling) const {
    return min(in_.height, expanded(tiling.rows, in_.height) + 2) *
           min(in_.width, expanded(tiling.columns, in_.width) + 2);
  }

  int tiles(const Tiling& tiling, int quads) const {
    return tiling.regions() * ceil_div(module_.primary.quads(), quads);
  }

  // Cuts an image into the fewest regions whose primary maps have at most `pixels`.
  Tiling fewest_regions(int pixels) const {
    int down = 1;
    int across = 1;
    for (;;) {
      const Tiling tiling{out_, 1, ceil_div(out_.height, down), ceil_div(out_.width, across)};
      if (primary_pixels(tiling) <= pixels) return tiling;
      ++(tiling.rows >= tiling.columns ? down : across);
    }
  }

  // Puts several whole images into a tile of `max_pixels` where that leaves enough tiles to keep a
  // GPU busy.
  GhostTile complete(Tiling tiling, int quads, int max_pixels) const {
    const int pixels = primary_pixels(tiling);
    if (!needs_sums_ && tiling.per_image() == 1) {
      const int busy_tiles = 2 * policy_.saturating_threads / policy_.max_threads;
      const int spare = tiles(tiling, quads) / busy_tiles;
      tiling.images = max(1, min(max_pixels / pixels, min(in_.images, spare)));
    }
    const Tile tile = make_tile(
        policy_, {tiling.images * pixels, quads, module_.primary.in, tiles(tiling, quads)});
    return {tile, tiling, kernel_ > 0 ? tiling.images * expanded_pixels(tiling) : 0};
  }

  const TilePolicy policy_{};
  const GhostModule& module_;
  const int kernel_;  // of the downsampling; 0 without
  const int stride_;
  const Grid in_;
  const Grid out_;
  const bool needs_sums_;
};

}  // namespace ghostnet::cuda
