// Depthwise k×k convolution of one plane, padded by k / 2, stride 1 or 2.
//
// Packs run along the columns. Rows outside the picture are left out; columns outside it are the
// zeros between the rows of the plane.
#pragma once

#include "activation.h"
#include "planes.h"

namespace ghostnet::cpu {

struct Depthwise {
  int kernel;  // 3 or 5
  int stride;  // 1 or 2
  const float* weights;  // [channels][kernel][kernel]
  const float* bias;

  const float* filter(std::ptrdiff_t channel) const {
    return weights + channel * kernel * kernel;
  }
};

// One plane in, one plane out. `residual`, where there is one, is added after the activation and
// lies as `out` does.
struct DepthwisePlane {
  const float* in;
  Grid in_grid;
  const float* filter;
  float bias;
  Activation activation;
  const float* residual;
  float* out;
  Grid out_grid;
};

// Stores a pack of sums at `position`, as far as it lies before `end`.
template <int Lanes>
inline void depthwise_store(const DepthwisePlane& plane, Floats<Lanes> sums,
                            std::ptrdiff_t position, std::ptrdiff_t end) {
  Floats<Lanes> value = activate<Lanes>(plane.activation, sums);
  if (plane.residual != nullptr) value += load<Lanes>(plane.residual + position);
  store_first<Lanes>(plane.out + position, keep<Lanes>(plane.out_grid.valid + position, value),
                     end - position);
}

// Two rows at once, both with all rows of the kernel inside the picture; stride 1.
template <int Lanes, int Kernel>
void depthwise_row_pair(const DepthwisePlane& plane, std::ptrdiff_t row, std::ptrdiff_t end) {
  const std::ptrdiff_t pitch = plane.out_grid.pitch;
  Floats<Lanes> filter[Kernel * Kernel];
  for (int tap = 0; tap < Kernel * Kernel; ++tap) filter[tap] = broadcast<Lanes>(plane.filter[tap]);
  const float* corner = plane.in + (row - Kernel / 2) * pitch - Kernel / 2;
  for (std::ptrdiff_t column = 0; column < pitch; column += Lanes) {
    Floats<Lanes> upper = broadcast<Lanes>(plane.bias);
    Floats<Lanes> lower = upper;
    for (int y = 0; y <= Kernel; ++y) {
      for (int x = 0; x < Kernel; ++x) {
        const Floats<Lanes> pixels = load<Lanes>(corner + y * pitch + column + x);
        if (y < Kernel) upper += filter[y * Kernel + x] * pixels;
        if (y > 0) lower += filter[(y - 1) * Kernel + x] * pixels;
      }
    }
    depthwise_store<Lanes>(plane, upper, row * pitch + column, end);
    depthwise_store<Lanes>(plane, lower, (row + 1) * pitch + column, end);
  }
}

// One row of any stride, with the rows of the kernel that lie inside the picture.
template <int Lanes, int Kernel, int Stride>
void depthwise_row(const DepthwisePlane& plane, std::ptrdiff_t row, std::ptrdiff_t end) {
  const std::ptrdiff_t image = row / plane.out_grid.height;
  const std::ptrdiff_t top = row % plane.out_grid.height * Stride - Kernel / 2;
  const std::ptrdiff_t first = std::max<std::ptrdiff_t>(0, -top);
  const std::ptrdiff_t last = std::min<std::ptrdiff_t>(Kernel, plane.in_grid.height - top);
  const float* corner = plane.in + (image * plane.in_grid.height + top) * plane.in_grid.pitch -
                        Kernel / 2;
  for (std::ptrdiff_t column = 0; column < plane.out_grid.pitch; column += Lanes) {
    Floats<Lanes> sums = broadcast<Lanes>(plane.bias);
    for (std::ptrdiff_t y = first; y < last; ++y) {
      const float* in = corner + y * plane.in_grid.pitch + column * Stride;
      for (int x = 0; x < Kernel; ++x) {
        const Floats<Lanes> pixels =
            Stride == 1 ? load<Lanes>(in + x) : load_every_second<Lanes>(in + x);
        sums += plane.filter[y * Kernel + x] * pixels;
      }
    }
    depthwise_store<Lanes>(plane, sums, row * plane.out_grid.pitch + column, end);
  }
}

// Rows in ascending order: what a pack writes past the end of its row, the next row overwrites.
template <int Lanes, int Kernel, int Stride>
void depthwise_rows(const DepthwisePlane& plane, Range rows) {
  const std::ptrdiff_t height = plane.out_grid.height;
  const std::ptrdiff_t end = plane.out_grid.span(rows).end;
  for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
    const std::ptrdiff_t y = row % height;
    if (Stride == 1 && y >= Kernel / 2 && y + 1 + Kernel / 2 < height && row + 1 < rows.end) {
      depthwise_row_pair<Lanes, Kernel>(plane, row++, end);
    } else {
      depthwise_row<Lanes, Kernel, Stride>(plane, row, end);
    }
  }
  const std::ptrdiff_t written = (rows.end - 1) * plane.out_grid.pitch +
                                 (plane.out_grid.pitch + Lanes - 1) / Lanes * Lanes;
  for (std::ptrdiff_t position = written; position < end; ++position) plane.out[position] = 0;
}

template <int Lanes>
void depthwise(const DepthwisePlane& plane, int kernel, int stride, Range rows) {
  if (kernel == 3) {
    stride == 1 ? depthwise_rows<Lanes, 3, 1>(plane, rows) : depthwise_rows<Lanes, 3, 2>(plane, rows);
  } else {
    stride == 1 ? depthwise_rows<Lanes, 5, 1>(plane, rows) : depthwise_rows<Lanes, 5, 2>(plane, rows);
  }
}

}  // namespace ghostnet::cpu
