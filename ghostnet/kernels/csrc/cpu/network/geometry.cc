#include "network/geometry.h"

#include <algorithm>

namespace ghostnet::cpu {
namespace {

// A number for each position of a grid, and for kGuard more on either side.
template <class Number>
std::vector<std::int32_t> numbers(const Grid& grid, Number number) {
  std::vector<std::int32_t> all(grid.extent() + 2 * kGuard, 0);
  auto next = all.begin() + kGuard;
  for (int row = 0; row < grid.rows(); ++row) {
    for (int column = 0; column < grid.width; ++column) *next++ = number(row, column);
  }
  return all;
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
  zeros_.assign(halved(width) + 2 * kGuard, 0.0F);
  const auto add = [&](int rows, int columns) {
    Grid grid{images, rows, columns, nullptr, nullptr, zeros_.data() + kGuard};
    rows_.push_back(numbers(grid, [=](int row, int) { return row % rows; }));
    columns_.push_back(numbers(grid, [](int, int column) { return column; }));
    grid.row = rows_.back().data() + kGuard;
    grid.column = columns_.back().data() + kGuard;
    grids_.push_back(grid);
  };
  add(halved(height), halved(width));
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Grid grid = grids_.back();
    if (model.blocks[i].stride == 1) {
      grids_.push_back(grid);
    } else {
      add(halved(grid.height), halved(grid.width));
    }
  }
}

}  // namespace ghostnet::cpu
