#include "network/geometry.h"

namespace ghostnet::cpu {
namespace {

// A height or width after stride 2.
int halved(int length) { return (length + 1) / 2; }

// number(row, column) for each position of a grid, with kReadMargin zeros on either side.
template <class Number>
std::vector<std::int32_t> number_positions(const Grid& grid, Number number) {
  std::vector<std::int32_t> numbers(grid.stride() + 2 * kReadMargin, 0);
  auto next = numbers.begin() + kReadMargin;
  for (int row = 0; row < grid.rows(); ++row) {
    for (int column = 0; column < grid.width; ++column) *next++ = number(row, column);
  }
  return numbers;
}

}  // namespace

Geometry::Geometry(const Model& model, int images, int height, int width) {
  zeros_.assign(halved(width) + 2 * kReadMargin, 0.0F);
  add_grid(images, halved(height), halved(width));
  for (const Bottleneck& block : model.blocks) {
    const Grid grid = grids_.back();
    if (block.stride == 1) {
      grids_.push_back(grid);
    } else {
      add_grid(images, halved(grid.height), halved(grid.width));
    }
  }
}

void Geometry::add_grid(int images, int height, int width) {
  Grid grid{images, height, width, nullptr, nullptr, zeros_.data() + kReadMargin};
  rows_.push_back(number_positions(grid, [=](int row, int) { return row % height; }));
  columns_.push_back(number_positions(grid, [](int, int column) { return column; }));
  grid.row = rows_.back().data() + kReadMargin;
  grid.column = columns_.back().data() + kReadMargin;
  grids_.push_back(grid);
}

}  // namespace ghostnet::cpu
