#include "geometry.h"

#include <algorithm>

namespace ghostnet::cpu {
namespace {

// Zeros between the rows of each block's input, and of the last one's output: as many as the widest
// depthwise convolution at that resolution needs.
std::vector<int> paddings(const std::vector<Bottleneck>& blocks) {
  std::vector<int> padding(blocks.size() + 1, 1);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].has_shortcut()) padding[i] = blocks[i].kernel / 2;
  }
  // A block of stride 1 works on one grid, so its two ends need the same.
  for (std::size_t i = blocks.size(); i-- > 0;) {
    if (blocks[i].stride == 1) padding[i] = std::max(padding[i], padding[i + 1]);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].stride == 1) padding[i + 1] = padding[i];
  }
  return padding;
}

std::vector<std::int32_t> validity(const Grid& grid) {
  std::vector<std::int32_t> valid(grid.extent() + kMaxLanes, 0);
  for (int row = 0; row < grid.rows(); ++row) {
    std::fill_n(valid.begin() + std::ptrdiff_t{row} * grid.pitch, grid.width, -1);
  }
  return valid;
}

}  // namespace

Geometry::Geometry(const Model& model, int images, int height, int width) {
  const std::vector<int> padding = paddings(model.blocks);
  const int widest = halved(width) + *std::max_element(padding.begin(), padding.end());
  zeros_.assign(widest + 2 * kGuard, 0.0F);
  const auto add = [&](int rows, int columns, int pad) {
    Grid grid{images, rows, columns, columns + pad, nullptr, zeros_.data() + kGuard};
    masks_.push_back(validity(grid));
    grid.valid = masks_.back().data();
    grids_.push_back(grid);
  };
  add(halved(height), halved(width), padding[0]);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Grid grid = grids_.back();
    if (model.blocks[i].stride == 1) {
      grids_.push_back(grid);
    } else {
      add(halved(grid.height), halved(grid.width), padding[i + 1]);
    }
  }
}

}  // namespace ghostnet::cpu
