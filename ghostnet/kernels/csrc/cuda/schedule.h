// The way of a batch through the network: the size of every map, and how each kernel cuts it.
#pragma once

#include <vector>

#include "ghost_tile.h"

namespace ghostnet::cuda {

struct BlockRoute {
  Grid in;
  Grid out;
  GhostTile ghost1;
  GhostTile ghost2;
  Tile shortcut;
};

struct Route {
  Grid pictures;
  Grid stem;
  std::vector<BlockRoute> blocks;
  Grid last_grid;
  Tile last;
};

// A tile for `pixels` in a row, of one image or of all.
inline Tile flat_tile(const Pointwise& layer, int images, int pixels) {
  const TilePolicy policy{};
  const int quads = min(policy.quads, layer.quads());
  const int size = min(pixels, capacity(policy, quads));
  const int blocks = images * ceil_div(pixels, size) * ceil_div(layer.quads(), quads);
  return make_tile(policy, size, quads, layer.in, blocks);
}

inline Route route_of(const Model& model, const Grid& pictures) {
  Route route{pictures, pictures.strided_by(2), {}, {}, {}};
  Grid grid = route.stem;
  for (const Bottleneck& block : model.blocks) {
    const Grid out = grid.strided_by(block.stride());
    const bool sums = block.has_squeeze_excite();
    BlockRoute step{grid, out, GhostTileChoice(block.ghost1, block.downsample, grid, sums).best(),
                    GhostTileChoice(block.ghost2, {}, out, false).best(), {}};
    if (block.has_shortcut()) step.shortcut = flat_tile(block.shortcut.pointwise, 1, out.pixels());
    route.blocks.push_back(step);
    grid = out;
  }
  route.last_grid = grid;
  route.last = flat_tile(model.head.last, grid.images, grid.image_pixels());
  return route;
}

}  // namespace ghostnet::cuda
