#include "network/geometry.h"

#include <algorithm>
#include <cstdint>

#include "ops/attention.h"

namespace ghostnet::cpu {
namespace {

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

// Where each of `length` rows (or columns) of each image, and kReadMargin more, takes its gates
// from.
SourceTable source_table(Upsampling upsampling, int images, int gates, int length) {
  const bool aligned = upsampling == Upsampling::kBilinear;
  const std::int64_t steps = aligned ? gates - 1 : gates;
  const std::int64_t parts = aligned ? length - 1 : length;
  SourceTable table;
  for (std::int64_t i = 0; i < std::int64_t{images} * length + kReadMargin; ++i) {
    const std::int64_t image = std::min<std::int64_t>(i / length, images - 1);
    const std::int64_t index = i - image * length;
    const auto near = static_cast<std::int32_t>(image * gates + index * steps / parts);
    const std::int64_t rest = aligned ? index * steps % parts : 0;
    table.near.push_back(near);
    table.far.push_back(near + (rest > 0));
    table.far_weight.push_back(static_cast<float>(rest) / static_cast<float>(parts));
  }
  return table;
}

}  // namespace

Geometry::Geometry(const Model& model, int images, int height, int width) {
  zeros_.assign(halved(width) + 2 * kReadMargin, 0.0F);
  grids_.push_back(grid(images, halved(height), halved(width)));
  const Bottleneck* last = nullptr;
  for (const Bottleneck& block : model.blocks) {
    const Grid in = grids_.back();
    const Upsampling upsampling = block.attention.upsampling;
    const bool has_last_gates =
        last != nullptr && last->stride == 1 && last->attention.upsampling == upsampling;
    const GateGrid gates = has_last_gates ? gates_.back() : gate_grid(upsampling, in);
    gates_.push_back(gates);
    last = &block;
    if (block.stride == 1) {
      grids_.push_back(in);
    } else {
      grids_.push_back(grid(images, halved(in.height), halved(in.width)));
    }
  }
}

Grid Geometry::grid(int images, int height, int width) {
  Grid grid{images, height, width, nullptr, nullptr, zeros_.data() + kReadMargin};
  rows_.push_back(number_positions(grid, [=](int row, int) { return row % height; }));
  columns_.push_back(number_positions(grid, [](int, int column) { return column; }));
  grid.row = rows_.back().data() + kReadMargin;
  grid.column = columns_.back().data() + kReadMargin;
  return grid;
}

GateGrid Geometry::gate_grid(Upsampling upsampling, const Grid& map) {
  if (upsampling == Upsampling::kNone) return {};
  const Grid gates = grid(map.images, map.height / 2, map.width / 2);
  const auto sources = [&](int images, int of, int length) -> GateSources {
    sources_.push_back(source_table(upsampling, images, of, length));
    const SourceTable& table = sources_.back();
    return {table.near.data(), table.far.data(), table.far_weight.data()};
  };
  const GateSources rows = sources(map.images, gates.height, map.height);
  return {gates, rows, sources(1, gates.width, map.width)};
}

}  // namespace ghostnet::cpu
