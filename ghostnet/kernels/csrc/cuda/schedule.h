// How a batch goes through the network: the size of every map, and the tiles of every kernel.
#pragma once

#include <vector>

#include "ghost_tile.h"

namespace ghostnet::cuda {

struct BlockSchedule {
  Grid in;
  Grid out;
  GhostTile ghost1;
  GhostTile ghost2;
  Tile shortcut;
};

struct Schedule {
  Grid input;
  Grid stem;
  std::vector<BlockSchedule> blocks;
  Grid last_grid;
  Tile last;
};

// A tile of consecutive pixels, for `images` maps of `pixels` pixels each.
inline Tile flat_tile(const Pointwise& layer, int images, int pixels) {
  const TilePolicy policy{};
  const int quads = min(policy.max_quads, layer.quads());
  const int size = min(pixels, capacity(policy, quads));
  const int tiles = images * ceil_div(pixels, size) * ceil_div(layer.quads(), quads);
  return make_tile(policy, {size, quads, layer.in, tiles});
}

inline BlockSchedule schedule_block(const Bottleneck& block, const Grid& in) {
  const Grid out = in.strided_by(block.stride());
  const bool needs_sums = block.has_squeeze_excite();
  BlockSchedule schedule{in,
                         out,
                         GhostTileChooser(block.ghost1, block.downsample, in, needs_sums).best(),
                         GhostTileChooser(block.ghost2, {}, out, false).best(),
                         {}};
  if (block.has_shortcut()) {
    schedule.shortcut = flat_tile(block.shortcut.pointwise, 1, out.pixels());
  }
  return schedule;
}

inline Schedule make_schedule(const Model& model, const Grid& input) {
  Schedule schedule{input, input.strided_by(2), {}, {}, {}};
  Grid grid = schedule.stem;
  for (const Bottleneck& block : model.blocks) {
    schedule.blocks.push_back(schedule_block(block, grid));
    grid = schedule.blocks.back().out;
  }
  schedule.last_grid = grid;
  schedule.last = flat_tile(model.head.last, grid.images, grid.image_pixels());
  return schedule;
}

}  // namespace ghostnet::cuda
