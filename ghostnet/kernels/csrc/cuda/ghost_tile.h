// The choice of tiles for a Ghost module.
#pragma once

#include "model.h"
#include "tile.h"

namespace ghostnet::cuda {

struct GhostTile {
  Tile tile;
  Tiling tiling;     // of the output
  int cheap_pixels;  // of the cheap half in shared memory, where it is downsampled from there
};

// Chooses the tile that should take the least time.
class GhostTileChoice {
 public:
  GhostTileChoice(const GhostModule& module, const Depthwise& downsample, const Grid& in,
                  bool wants_totals)
      : module_(module),
        kernel_(downsample.kernel),
        stride_(kernel_ > 0 ? 2 : 1),
        in_(in),
        out_(in.strided_by(stride_)),
        wants_totals_(wants_totals) {}

  GhostTile best() const {
    GhostTile best{};
    double least = -1;
    for (int quads = min(policy_.quads, module_.primary.quads()); quads > 0; --quads) {
      for (int pixels = room(quads); pixels >= policy_.least_pixels; pixels /= 2) {
        const GhostTile candidate = complete(fit(pixels), quads, pixels);
        const double time = duration(policy_, candidate.tile, module_.primary.in,
                                     blocks(candidate.tiling, quads));
        if (least >= 0 && time >= least) continue;
        least = time;
        best = candidate;
      }
    }
    return best;
  }

 private:
  int room(int quads) const {
    return capacity(policy_, quads) / (kernel_ > 0 ? 2 : 1);
  }

  // Rows (or columns) of the expanded map that `size` rows of output need.
  int expanded(int size, int all) const {
    return kernel_ > 0 ? min(all, (size - 1) * stride_ + kernel_) : size;
  }

  int expanded(const Tiling& tiling) const {
    return expanded(tiling.rows, in_.height) * expanded(tiling.columns, in_.width);
  }

  // Pixels of the primary map that one image of a tile needs: a pixel more on each side.
  int around(const Tiling& tiling) const {
    return min(in_.height, expanded(tiling.rows, in_.height) + 2) *
           min(in_.width, expanded(tiling.columns, in_.width) + 2);
  }

  int blocks(const Tiling& tiling, int quads) const {
    return tiling.regions() * ceil_div(module_.primary.quads(), quads);
  }

  // The fewest regions of an image that such a tile has room for.
  Tiling fit(int pixels) const {
    int down = 1;
    int across = 1;
    for (;;) {
      const Tiling tiling{out_, 1, ceil_div(out_.height, down), ceil_div(out_.width, across)};
      if (around(tiling) <= pixels) return tiling;
      ++(tiling.rows >= tiling.columns ? down : across);
    }
  }

  GhostTile complete(Tiling tiling, int quads, int room) const {
    const int pixels = around(tiling);
    if (!wants_totals_ && tiling.per_image() == 1) {
      const int spare = blocks(tiling, quads) / (2 * policy_.busy_threads / policy_.threads);
      tiling.images = max(1, min(room / pixels, min(in_.images, spare)));
    }
    const Tile tile = make_tile(policy_, tiling.images * pixels, quads, module_.primary.in,
                                blocks(tiling, quads));
    return {tile, tiling, kernel_ > 0 ? tiling.images * expanded(tiling) : 0};
  }

  const TilePolicy policy_{};
  const GhostModule& module_;
  const int kernel_;
  const int stride_;
  const Grid in_;
  const Grid out_;
  const bool wants_totals_;
};

}  // namespace ghostnet::cuda
