// The grids of a model's feature maps, for some number of pictures of one size.
#pragma once

#include <cstdint>
#include <vector>

#include "network/model.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

class Geometry {
 public:
  Geometry(const Model& model, int images, int height, int width);

  // The grid of what block `index` reads; past the last block, of what that one writes.
  const Grid& input(std::size_t index) const { return grids_[index]; }
  const Grid& output(std::size_t index) const { return grids_[index + 1]; }
  const Grid& last() const { return grids_.back(); }
  int images() const { return grids_.front().images; }

 private:
  std::vector<Grid> grids_;
  std::vector<std::vector<std::int32_t>> rows_;
  std::vector<std::vector<std::int32_t>> columns_;
  std::vector<float> zeros_;
};

// How pictures go through the network: one by one through the high maps, so that a map stays in the
// cache from block to block; together from block `together` on, where weights outweigh the maps.
struct Route {
  Route(const Model& model, int images, int height, int width);

  Geometry one;
  Geometry group;
  std::size_t together;  // where a picture goes alone, the number of blocks

  const Geometry& geometry(std::size_t block) const { return block < together ? one : group; }
};

// Half of a length, rounded up: what stride 2 makes of it.
inline int halved(int length) { return (length + 1) / 2; }

}  // namespace ghostnet::cpu
