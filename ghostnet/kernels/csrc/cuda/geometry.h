// Feature maps, and the regions of them that a thread block computes.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace ghostnet::cuda {

GHOSTNET_HOST_DEVICE inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Height or width after a convolution that is padded by half its kernel.
GHOSTNET_HOST_DEVICE inline int strided(int size, int stride) { return ceil_div(size, stride); }

// The size of a feature map. In memory, pixels follow one another image by image and row by row,
// each with all its channels (NHWC).
struct Grid {
  int images;
  int height;
  int width;

  GHOSTNET_HOST_DEVICE int image_pixels() const { return height * width; }
  GHOSTNET_HOST_DEVICE int pixels() const { return images * image_pixels(); }
  Grid strided_by(int stride) const {
    return {images, strided(height, stride), strided(width, stride)};
  }
};

// begin, …, end - 1
struct Range {
  int begin;
  int end;

  GHOSTNET_HOST_DEVICE int size() const { return end - begin; }
  GHOSTNET_HOST_DEVICE bool contains(int i) const { return i >= begin && i < end; }

  // This range with `halo` more on each side, clipped to 0, …, size - 1.
  GHOSTNET_HOST_DEVICE Range with_halo(int halo, int size) const {
    return {max(0, begin - halo), min(size, end + halo)};
  }

  // What a convolution reads to write this range, clipped to 0, …, size - 1.
  GHOSTNET_HOST_DEVICE Range receptive_field(int kernel, int stride, int size) const {
    const int pad = kernel / 2;
    return {max(0, begin * stride - pad), min(size, (end - 1) * stride - pad + kernel)};
  }
};

struct Position {
  int image;
  int row;
  int column;
};

// A rectangle of rows and columns of one or several images.
struct Region {
  Range images;
  Range rows;
  Range columns;

  GHOSTNET_HOST_DEVICE int pixels() const { return images.size() * rows.size() * columns.size(); }

  // The position in the map of the region's pixel `index`.
  GHOSTNET_DEVICE Position position(int index) const {
    const int row = index / columns.size();
    return {images.begin + row / rows.size(), rows.begin + row % rows.size(),
            columns.begin + index % columns.size()};
  }

  // The index in the region of a pixel, or -1 for a pixel outside.
  GHOSTNET_DEVICE int index(const Position& at) const {
    if (!rows.contains(at.row) || !columns.contains(at.column)) return -1;
    return ((at.image - images.begin) * rows.size() + at.row - rows.begin) * columns.size() +
           at.column - columns.begin;
  }

  GHOSTNET_DEVICE Region with_halo(int halo, const Grid& grid) const {
    return {images, rows.with_halo(halo, grid.height), columns.with_halo(halo, grid.width)};
  }

  GHOSTNET_DEVICE Region receptive_field(int kernel, int stride, const Grid& grid) const {
    return {images, rows.receptive_field(kernel, stride, grid.height),
            columns.receptive_field(kernel, stride, grid.width)};
  }
};

// The index of a pixel in memory.
GHOSTNET_DEVICE inline int pixel_of(const Grid& grid, const Position& at) {
  return (at.image * grid.height + at.row) * grid.width + at.column;
}

// A map cut into regions of `images` × `rows` × `columns`; those at the edges are smaller.
struct Tiling {
  Grid grid;
  int images;
  int rows;
  int columns;

  GHOSTNET_HOST_DEVICE int down() const { return ceil_div(grid.height, rows); }
  GHOSTNET_HOST_DEVICE int across() const { return ceil_div(grid.width, columns); }
  GHOSTNET_HOST_DEVICE int per_image() const { return down() * across(); }
  GHOSTNET_HOST_DEVICE int regions() const { return ceil_div(grid.images, images) * per_image(); }

  GHOSTNET_DEVICE Region region(int index) const {
    const int image = index / per_image() * images;
    const int row = index / across() % down() * rows;
    const int column = index % across() * columns;
    return {{image, min(grid.images, image + images)},
            {row, min(grid.height, row + rows)},
            {column, min(grid.width, column + columns)}};
  }
};

}  // namespace ghostnet::cuda
