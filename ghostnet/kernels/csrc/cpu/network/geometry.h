// The grids of a model's feature maps, for a number of images of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/model.h"
#include "ops/attention.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

// The rows of gates for the rows of a map; see GateSources.
struct SourceTable {
  std::vector<std::int32_t> near;
  std::vector<std::int32_t> far;
  std::vector<float> far_weight;
};

class Geometry {
 public:
  Geometry(const Model& model, int images, int height, int width);

  // The grids of what block `index` reads and writes; input(blocks) is what the head reads.
  const Grid& input(std::size_t index) const { return grids_[index]; }
  const Grid& output(std::size_t index) const { return grids_[index + 1]; }
  // The gates of block `index`, if it has attention.
  const GateGrid& gates(std::size_t index) const { return gates_[index]; }
  const Grid& last() const { return grids_.back(); }
  int images() const { return grids_.front().images; }

 private:
  Grid grid(int images, int height, int width);
  GateGrid gate_grid(Upsampling upsampling, const Grid& map);

  std::vector<Grid> grids_;
  std::vector<GateGrid> gates_;
  std::vector<SourceTable> sources_;
  std::vector<std::vector<std::int32_t>> rows_;
  std::vector<std::vector<std::int32_t>> columns_;
  std::vector<float> zeros_;
};

}  // namespace ghostnet::cpu
