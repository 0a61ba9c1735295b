// The layout of a feature map: one plane of floats for each channel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Floats beyond the positions of a plane that may be read: more than any vector load overreads.
constexpr std::ptrdiff_t kReadMargin = 64;

// The distance in floats between planes of so many positions.
constexpr std::ptrdiff_t plane_stride(std::ptrdiff_t positions) {
  return (positions + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
}

// A height or width after stride 2.
constexpr int halved(int length) { return (length + 1) / 2; }

// The plane of one channel: `images` images below one another, each of `height` rows of `width`
// pixels, without padding between rows. Floats between planes, and rows that have not been
// written, have any value.
struct Grid {
  int images;
  int height;
  int width;
  // For each position and kReadMargin more on either side, its row and its column in its image.
  const std::int32_t* row;
  const std::int32_t* column;
  const float* zeros;  // a row of zeros with kReadMargin zeros on either side

  int rows() const { return images * height; }
  std::ptrdiff_t size() const { return std::ptrdiff_t{rows()} * width; }
  std::ptrdiff_t stride() const { return plane_stride(size()); }

  Range all_rows() const { return {0, rows()}; }

  Range image_rows(int image) const {
    return {std::ptrdiff_t{image} * height, std::ptrdiff_t{image + 1} * height};
  }

  // The positions of some rows.
  Range span(Range rows_) const { return {rows_.begin * width, rows_.end * width}; }

  // Some rows with a halo of `halo` rows on either side, clipped to the grid.
  Range with_halo(Range rows_, int halo) const {
    return {std::max<std::ptrdiff_t>(0, rows_.begin - halo),
            std::min<std::ptrdiff_t>(rows(), rows_.end + halo)};
  }
};

// Channels of a feature map, `stride` floats apart. The memory before the first and after the last
// plane is readable as far as a depthwise convolution reads outside a map.
struct Planes {
  float* data;
  std::ptrdiff_t stride;

  float* plane(std::ptrdiff_t channel) const { return data + channel * stride; }
  Planes from(std::ptrdiff_t channel) const { return {plane(channel), stride}; }
};

// Planes of which only the positions `positions` exist, in memory that begins with them.
inline Planes partial_planes(float* memory, Range positions) {
  return {memory - positions.begin, plane_stride(positions.size())};
}

}  // namespace ghostnet::cpu
