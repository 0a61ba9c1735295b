// One thread's sums of channels over the pieces of a map.
#pragma once

#include <algorithm>
#include <cstddef>

#include "network/row_partition.h"
#include "ops/channel_sums.h"
#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/range.h"

namespace ghostnet::cpu {

struct PieceSums {
  ChannelRows rows;  // one for each piece of each image
  const Grid& grid;

  PieceSums(float* memory, const Grid& map, std::ptrdiff_t channels)
      : rows{memory, padded(channels)}, grid(map) {}

  std::ptrdiff_t size() const { return grid.images * pieces_per_image(grid) * rows.stride; }

  // Sums a channel's plane: some rows of one image, from the first of a piece on, or all images.
  template <int Lanes>
  void add(const float* plane, Range rows_, std::ptrdiff_t channel) const {
    for (int image = 0; image < grid.images; ++image) {
      const Range own = grid.images == 1 ? rows_ : grid.image_rows(image);
      const Range whole = grid.image_rows(image);
      std::ptrdiff_t piece =
          image * pieces_per_image(grid) + (own.begin - whole.begin) / piece_height(grid);
      for (std::ptrdiff_t row = own.begin; row < own.end; row += piece_height(grid), ++piece) {
        const Range part{row, std::min(own.end, row + piece_height(grid))};
        rows.row(piece)[channel] = span_sum<Lanes>(plane, grid.span(part));
      }
    }
  }
};

}  // namespace ghostnet::cpu
