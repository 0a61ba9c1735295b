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

// From kMaxLanes before position 0 on.
std::vector<std::int32_t> row_numbers(const Grid& grid) {
  std::vector<std::int32_t> numbers(grid.extent() + 2 * kMaxLanes, 0);
  for (int row = 0; row < grid.rows(); ++row) {
    std::fill_n(numbers.begin() + kMaxLanes + std::ptrdiff_t{row} * grid.pitch, grid.pitch,
                row % grid.height);
  }
  return numbers;
}

// Floats of the expanded maps of a group of pictures: half of a second-level cache of 2 MB.
constexpr std::ptrdiff_t kGroupFloats = 256 * 1024;

// The first block from which on the expanded maps of all pictures of a group fit together.
std::size_t first_together(const Model& model, const Geometry& group) {
  if (group.images() == 1) return model.blocks.size();
  std::size_t first = model.blocks.size();
  while (first > 1) {
    const Bottleneck& block = model.blocks[first - 1];
    const std::ptrdiff_t high = std::max(group.input(first - 1).extent(),
                                         group.output(first - 1).extent());
    if (block.expanded * high > kGroupFloats) break;
    --first;
  }
  return first;
}

}  // namespace

Route::Route(const Model& model, int images, int height, int width)
    : one(model, 1, height, width),
      group(model, images, height, width),
      together(first_together(model, group)) {}

Geometry::Geometry(const Model& model, int images, int height, int width) {
  const std::vector<int> padding = paddings(model.blocks);
  const int widest = halved(width) + *std::max_element(padding.begin(), padding.end());
  zeros_.assign(widest + 2 * kGuard, 0.0F);
  const auto add = [&](int rows, int columns, int pad) {
    Grid grid{images, rows, columns, columns + pad, nullptr, nullptr, zeros_.data() + kGuard};
    masks_.push_back(validity(grid));
    grid.valid = masks_.back().data();
    rows_.push_back(row_numbers(grid));
    grid.row = rows_.back().data() + kMaxLanes;
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
