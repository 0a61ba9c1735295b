// Depthwise k×k convolution of one plane, padded by k / 2, stride 1 or 2.
//
// Packs run along the columns, a few rows at once, so that each pixel is loaded once for all of
// them.
// Rows outside the picture are read from a row of zeros; columns outside it are the zeros between
// the rows of the plane.
#pragma once

#include <array>
#include <utility>

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

// The pixels of one row under each column of the kernel, for a pack of outputs that begins at `in`.
template <int Lanes, int Kernel, int Stride>
inline void load_taps(const float* in, Floats<Lanes> (&taps)[Kernel]) {
  if constexpr (Stride == 1) {
    for (int x = 0; x < Kernel; ++x) taps[x] = in_register<Lanes>(load<Lanes>(in + x));
  } else {
    const Floats<Lanes> low = in_register<Lanes>(load<Lanes>(in));
    const Floats<Lanes> high = in_register<Lanes>(load<Lanes>(in + Lanes));
    taps[0] = evens<Lanes>(low, high);
    taps[1] = odds<Lanes>(low, high);
    for (int x = 2; x < Kernel; ++x) {
      taps[x] = shifted<Lanes>(taps[x - 2], broadcast<Lanes>(in[2 * Lanes + x - 2]));
    }
  }
}

// `Rows` rows of output from `row` on. `in` has the rows of input under them; those outside the
// picture are rows of zeros.
//
// What a pack computes beyond the end of its row is wrong. It lands in the next row and is
// overwritten, because packs go from right to left and rows from top to bottom.
template <int Lanes, int Kernel, int Stride, Activation Act, int Rows>
void depthwise_strip(const DepthwisePlane& plane, const float* const* in, std::ptrdiff_t row,
                     std::ptrdiff_t end) {
  constexpr int kInRows = (Rows - 1) * Stride + Kernel;
  constexpr int kChains = std::max(1, 6 / Rows);  // sums that do not wait for one another
  const std::ptrdiff_t pitch = plane.out_grid.pitch;
  const std::int32_t* const valid = plane.out_grid.valid;
  const float* const residual = plane.residual;
  float* const out = plane.out + row * pitch;
  const std::ptrdiff_t limit = end - row * pitch;
  const Floats<Lanes> bias = broadcast<Lanes>(plane.bias);
  Floats<Lanes> filter[Kernel * Kernel];
#pragma GCC unroll 32
  for (int tap = 0; tap < Kernel * Kernel; ++tap) filter[tap] = broadcast<Lanes>(plane.filter[tap]);
  for (std::ptrdiff_t column = (pitch - 1) / Lanes * Lanes; column >= 0; column -= Lanes) {
    Floats<Lanes> sums[Rows][kChains] = {};
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sums[r][0] = bias;
#pragma GCC unroll 16
    for (int y = 0; y < kInRows; ++y) {
      Floats<Lanes> taps[Kernel];
      load_taps<Lanes, Kernel, Stride>(in[y] + column * Stride - Kernel / 2, taps);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const int filter_row = y - r * Stride;
        if (filter_row < 0 || filter_row >= Kernel) continue;
#pragma GCC unroll 16
        for (int x = 0; x < Kernel; ++x) {
          const int tap = filter_row * Kernel + x;
          sums[r][tap % kChains] += filter[tap] * taps[x];
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const std::ptrdiff_t position = r * pitch + column;
#pragma GCC unroll 16
      for (int chain = 1; chain < kChains; ++chain) sums[r][0] += sums[r][chain];
      Floats<Lanes> value = activate<Lanes>(Act, sums[r][0]);
      if (residual != nullptr) value += load<Lanes>(residual + row * pitch + position);
      store_first<Lanes>(out + position, keep<Lanes>(valid + column, value), limit - position);
    }
  }
}

// The rows of input under `Rows` rows of output, and the strip itself.
template <int Lanes, int Kernel, int Stride, Activation Act, int Rows>
void depthwise_strip_at(const DepthwisePlane& plane, std::ptrdiff_t row, std::ptrdiff_t end) {
  constexpr int kInRows = (Rows - 1) * Stride + Kernel;
  const Grid& grid = plane.in_grid;
  const std::ptrdiff_t image = row / plane.out_grid.height;
  const std::ptrdiff_t top = row % plane.out_grid.height * Stride - Kernel / 2;
  const float* in[kInRows];
  for (int y = 0; y < kInRows; ++y) {
    const bool inside = top + y >= 0 && top + y < grid.height;
    in[y] = inside ? plane.in + (image * grid.height + top + y) * grid.pitch : grid.zeros;
  }
  depthwise_strip<Lanes, Kernel, Stride, Act, Rows>(plane, in, row, end);
}

// Rows that a depthwise convolution of stride 1 does at once: maps of 224 × 224 pictures have 7, 14,
// 28, 56 or 112 rows.
constexpr int kStripRows = 7;

// Rows of output at once, as many as the registers hold.
template <int Lanes, int Stride>
constexpr int rows_at_once() {
  return Lanes < 16 ? 4 / Stride : Stride == 2 ? 4 : kStripRows;
}

template <int Lanes, int Kernel, int Stride, Activation Act, int... Index>
constexpr auto depthwise_strips(std::integer_sequence<int, Index...>) {
  return std::array{&depthwise_strip_at<Lanes, Kernel, Stride, Act, Index + 1>...};
}

template <int Lanes, int Kernel, int Stride, Activation Act>
void depthwise_rows(const DepthwisePlane& plane, Range rows) {
  constexpr int kRows = rows_at_once<Lanes, Stride>();
  static constexpr auto kStrips =
      depthwise_strips<Lanes, Kernel, Stride, Act>(std::make_integer_sequence<int, kRows>{});
  const std::ptrdiff_t height = plane.out_grid.height;
  const std::ptrdiff_t end = plane.out_grid.span(rows).end;
  for (std::ptrdiff_t row = rows.begin; row < rows.end;) {
    const std::ptrdiff_t left = std::min(rows.end - row, height - row % height);
    const std::ptrdiff_t strip = std::min<std::ptrdiff_t>(left, kRows);
    kStrips[strip - 1](plane, row, end);
    row += strip;
  }
  const std::ptrdiff_t size = plane.out_grid.size();
  if (end > size) std::fill(plane.out + size, plane.out + end, 0.0F);
}

// Activations follow cheap operations only, which are 3×3 with stride 1.
template <int Lanes>
void depthwise(const DepthwisePlane& plane, int kernel, int stride, Range rows) {
  constexpr Activation kNone = Activation::kNone;
  if (plane.activation == Activation::kRelu) {
    depthwise_rows<Lanes, 3, 1, Activation::kRelu>(plane, rows);
  } else if (plane.activation == Activation::kHardSwish) {
    depthwise_rows<Lanes, 3, 1, Activation::kHardSwish>(plane, rows);
  } else if (kernel == 3) {
    stride == 1 ? depthwise_rows<Lanes, 3, 1, kNone>(plane, rows)
                : depthwise_rows<Lanes, 3, 2, kNone>(plane, rows);
  } else {
    stride == 1 ? depthwise_rows<Lanes, 5, 1, kNone>(plane, rows)
                : depthwise_rows<Lanes, 5, 2, kNone>(plane, rows);
  }
}

}  // namespace ghostnet::cpu
