// Maps, and the parts of them that a block of threads works on.
#pragma once

#include <cstdint>

#include "kernel.h"

namespace ghostnet::cuda {

GHOSTNET_HOST_DEVICE inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

// Height or width after a convolution that is padded by half its kernel.
GHOSTNET_HOST_DEVICE inline int strided(int size, int stride) { return ceil_div(size, stride); }

// The size of a feature map in memory: the pixels of all pictures one after another, row by row,
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

struct Range {
  int begin;
  int end;

  GHOSTNET_HOST_DEVICE int size() const { return end - begin; }
  GHOSTNET_HOST_DEVICE bool contains(int i) const { return i >= begin && i < end; }

  // With `around` more on each side, as far as there are `size`.
  GHOSTNET_HOST_DEVICE Range widened(int around, int size) const {
    return {max(0, begin - around), min(size, end + around)};
  }

  // What a convolution reads to write this range, as far as there are `size`.
  GHOSTNET_HOST_DEVICE Range under(int kernel, int stride, int size) const {
    const int pad = kernel / 2;
    return {max(0, begin * stride - pad), min(size, (end - 1) * stride - pad + kernel)};
  }
};

struct Position {
  int image;
  int row;
  int column;
};

// A rectangle of rows and columns of one or several pictures.
struct Region {
  Range images;
  Range rows;
  Range columns;

  GHOSTNET_HOST_DEVICE int pixels() const { return images.size() * rows.size() * columns.size(); }

  // The place in the picture of the region's pixel number `index`.
  GHOSTNET_DEVICE Position position(int index) const {
    const int row = index / columns.size();
    return {images.begin + row / rows.size(), rows.begin + row % rows.size(),
            columns.begin + index % columns.size()};
  }

  // The number of a pixel in the region, or -1 where it is outside.
  GHOSTNET_DEVICE int index(const Position& at) const {
    if (!rows.contains(at.row) || !columns.contains(at.column)) return -1;
    return ((at.image - images.begin) * rows.size() + at.row - rows.begin) * columns.size() +
           at.column - columns.begin;
  }

  GHOSTNET_DEVICE Region widened(int around, const Grid& grid) const {
    return {images, rows.widened(around, grid.height), columns.widened(around, grid.width)};
  }

  GHOSTNET_DEVICE Region under(int kernel, int stride, const Grid& grid) const {
    return {images, rows.under(kernel, stride, grid.height),
            columns.under(kernel, stride, grid.width)};
  }
};

// The number of a pixel in memory.
GHOSTNET_DEVICE inline int pixel_of(const Grid& grid, const Position& at) {
  return (at.image * grid.height + at.row) * grid.width + at.column;
}

// A map cut into regions of equal size, but for those at its end.
struct Tiling {
  Grid grid;
  int images;
  int rows;
  int columns;

  GHOSTNET_HOST_DEVICE int down() const { return ceil_div(grid.height, rows); }
  GHOSTNET_HOST_DEVICE int across() const { return ceil_div(grid.width, columns); }
  GHOSTNET_HOST_DEVICE int per_image() const { return down() * across(); }
  GHOSTNET_HOST_DEVICE int regions() const {
    return ceil_div(grid.images, images) * per_image();
  }

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
