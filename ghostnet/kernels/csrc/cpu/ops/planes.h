// How a feature map lies in memory: one plane of floats a channel, all of the same grid.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "simd/vector.h"

namespace ghostnet::cpu {

// Half-open: begin, ..., end - 1. Of rows, channels, blocks or positions in a plane.
struct Range {
  std::ptrdiff_t begin;
  std::ptrdiff_t end;

  std::ptrdiff_t size() const { return end - begin; }
};

// Some channels cut into blocks of at most `most`, as equal as can be; where there are many, into
// an even number of them, which two threads share evenly.
struct Blocks {
  int total;
  int most;

  int count() const {
    const int fewest = (total + most - 1) / most;
    return fewest > 2 ? fewest + fewest % 2 : fewest;
  }
  std::ptrdiff_t first(std::ptrdiff_t block) const { return total * block / count(); }
  // The channels of some blocks.
  Range channels(Range blocks) const { return {first(blocks.begin), first(blocks.end)}; }
  Range block(std::ptrdiff_t index) const { return {first(index), first(index + 1)}; }
};

// More than any pack reaches beyond the positions that it is for.
constexpr std::ptrdiff_t kGuard = 64;

// The distance between planes of so many positions.
constexpr std::ptrdiff_t plane_stride(std::ptrdiff_t positions) {
  return (positions + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
}

// The plane of one channel: `images` pictures below one another, each of `height` rows of `width`
// pixels, one row right after the other. Planes lie `extent` floats apart; what is between them, or
// beyond the rows that somebody wrote, has any value.
struct Grid {
  int images;
  int height;
  int width;
  const std::int32_t* row;     // for each position, and kGuard more on either side, its row in its
  const std::int32_t* column;  // picture, and its column
  const float* zeros;          // a row of zeros with kGuard zeros on either side

  int rows() const { return images * height; }
  std::ptrdiff_t size() const { return std::ptrdiff_t{rows()} * width; }
  std::ptrdiff_t extent() const { return plane_stride(size()); }

  Range all_rows() const { return {0, rows()}; }

  Range image_rows(int image) const {
    return {std::ptrdiff_t{image} * height, std::ptrdiff_t{image + 1} * height};
  }

  // The positions of some rows.
  Range span(Range rows_) const { return {rows_.begin * width, rows_.end * width}; }

  // Some rows and `halo` more on either side, as far as there are any.
  Range widened(Range rows_, int halo) const {
    return {std::max<std::ptrdiff_t>(0, rows_.begin - halo),
            std::min<std::ptrdiff_t>(rows(), rows_.end + halo)};
  }
};

// Channels of a feature map, `stride` floats apart. Before and after them as much is readable as a
// depthwise convolution reads beside a map.
struct Planes {
  float* data;
  std::ptrdiff_t stride;

  float* plane(std::ptrdiff_t channel) const { return data + channel * stride; }
  Planes from(std::ptrdiff_t channel) const { return {plane(channel), stride}; }
};

}  // namespace ghostnet::cpu
