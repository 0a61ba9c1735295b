// The order in which a group of images goes through the network. The images go one by one through
// the high maps, so that a map stays in the cache from block to block. From block `together` on,
// where the weights outweigh the maps, they go together.
#pragma once

#include <cstddef>

#include "network/geometry.h"
#include "network/model.h"

namespace ghostnet::cpu {

struct Schedule {
  Schedule(const Model& model, int images, int height, int width);

  Geometry one;          // of one image
  Geometry group;        // of all images
  std::size_t together;  // the number of blocks where there is only one image

  int images() const { return group.images(); }
  const Geometry& geometry(std::size_t block) const { return block < together ? one : group; }
};

}  // namespace ghostnet::cpu
