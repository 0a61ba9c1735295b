// The grids of a model's feature maps, for a number of images of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/model.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

class Geometry {
 public:
  Geometry(const Model& model, int images, int height, int width);

  // The grids of what block `index` reads and writes; input(blocks) is what the head reads.
  const Grid& input(std::size_t index) const { return grids_[index]; }
  const Grid& output(std::size_t index) const { return grids_[index + 1]; }
  const Grid& last() const { return grids_.back(); }
  int images() const { return grids_.front().images; }

 private:
  void add_grid(int images, int height, int width);

  std::vector<Grid> grids_;
  std::vector<std::vector<std::int32_t>> rows_;
  std::vector<std::vector<std::int32_t>> columns_;
  std::vector<float> zeros_;
};

}  // namespace ghostnet::cpu
