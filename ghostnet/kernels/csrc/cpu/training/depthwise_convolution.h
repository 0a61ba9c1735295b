// Depthwise convolution of one plane, padded by kernel / 2, stride 1 or 2, and its gradients.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "simd/vector.h"
#include "training/padded_plane.h"

namespace ghostnet::cpu::training {

// The weights of one channel, row by row.
template <int Kernel>
using Filter = std::array<float, Kernel * Kernel>;

// Each weight of a filter in all lanes.
template <int Lanes, int Kernel>
using Taps = std::array<Floats<Lanes>, Kernel * Kernel>;

template <int Lanes, int Kernel>
Taps<Lanes, Kernel> taps_of(const Filter<Kernel>& filter) {
  Taps<Lanes, Kernel> taps;
#pragma GCC unroll 32
  for (int tap = 0; tap < Kernel * Kernel; ++tap) taps[tap] = broadcast<Lanes>(filter[tap]);
  return taps;
}

// Calls body(x) for vectors that cover a row of `width`. The last one overlaps the one before it;
// the only one of a shorter row goes beyond its end.
template <int Lanes, class Body>
inline void cover_row(int width, Body body) {
  for (int x = 0; x < width; x += Lanes) body(std::max(0, std::min(x, width - Lanes)));
}

// The pixels under one column of the kernel for a vector of outputs, of which the first has the
// pixel at `in` under column 0. With stride 2 they need in_order().
template <int Lanes, int Stride>
inline Floats<Lanes> pixels_under(const float* in, int column) {
  if constexpr (Stride == 1) {
    return load<Lanes>(in + column);
  } else {
    const auto low = load<Lanes>(in + column / 2 * 2);
    const auto high = load<Lanes>(in + column / 2 * 2 + Lanes);
    return column % 2 == 0 ? every_second_lane<Lanes, 0>(low, high)
                           : every_second_lane<Lanes, 1>(low, high);
  }
}

template <int Lanes, int Stride>
inline Floats<Lanes> in_order_of(Floats<Lanes> value) {
  return Stride == 1 ? value : in_order<Lanes>(value);
}

// Computes a vector of outputs in each of `Rows` rows, which share the pixels that they load.
// `corner` is the pixel under the first tap of the first output.
template <int Lanes, int Kernel, int Stride, int Rows>
inline std::array<Floats<Lanes>, Rows> correlate_vectors(const float* corner, int pitch,
                                                         const Taps<Lanes, Kernel>& taps) {
  std::array<Floats<Lanes>, Rows> sums = {};
#pragma GCC unroll 8
  for (int column = 0; column < Kernel; ++column) {
#pragma GCC unroll 16
    for (int y = 0; y < (Rows - 1) * Stride + Kernel; ++y) {
      const auto pixels =
          in_register<Lanes>(pixels_under<Lanes, Stride>(corner + y * pitch, column));
#pragma GCC unroll 8
      for (int row = 0; row < Rows; ++row) {
        const int tap_row = y - row * Stride;
        if (tap_row < 0 || tap_row >= Kernel) continue;
        sums[row] += taps[tap_row * Kernel + column] * pixels;
      }
    }
  }
  return sums;
}

// Computes the rows of the convolution from `y` on, `Rows` at a time.
template <int Lanes, int Kernel, int Stride, int Rows = 4>
void correlate(const PaddedPlane& in, const Taps<Lanes, Kernel>& taps, int y, float* out) {
  const int height = (in.height() - 1) / Stride + 1;
  const int width = (in.width() - 1) / Stride + 1;
  for (; y + Rows <= height; y += Rows) {
    const float* const corner = in.row(y * Stride - Kernel / 2) - Kernel / 2;
    float* const first = out + std::ptrdiff_t{y} * width;
    cover_row<Lanes>(width, [&](int x) {
      const auto sums =
          correlate_vectors<Lanes, Kernel, Stride, Rows>(corner + x * Stride, in.pitch(), taps);
#pragma GCC unroll 8
      for (int row = 0; row < Rows; ++row) {
        store_first<Lanes>(first + row * width + x, in_order_of<Lanes, Stride>(sums[row]), width);
      }
    });
  }
  if constexpr (Rows > 1) correlate<Lanes, Kernel, Stride, Rows / 2>(in, taps, y, out);
}

// Writes a plane of ⌈height / stride⌉ × ⌈width / stride⌉.
template <int Lanes, int Kernel>
void convolve(const PaddedPlane& in, const Filter<Kernel>& filter, int stride, float* out) {
  const auto taps = taps_of<Lanes, Kernel>(filter);
  stride == 1 ? correlate<Lanes, Kernel, 1>(in, taps, 0, out)
              : correlate<Lanes, Kernel, 2>(in, taps, 0, out);
}

// A plane of an image.
struct Plane {
  float* data;
  int height;
  int width;
};

// The gradient to the input for stride 2. Pixels in even and odd rows and columns lie under
// different taps of the outputs around them.
template <int Lanes, int Kernel>
void input_gradient_stride2(const PaddedPlane& gradient, const Taps<Lanes, Kernel>& taps,
                            const Plane& out) {
  for (int y = 0; y < gradient.height(); ++y) {
    cover_row<Lanes>(gradient.width(), [&](int x) {
      Floats<Lanes> sums[2][2] = {};  // [row % 2][column % 2]
#pragma GCC unroll 32
      for (int tap = 0; tap < Kernel * Kernel; ++tap) {
        // of the pixel under the tap, from pixel (2y, 2x) on
        const int row = tap / Kernel - Kernel / 2;
        const int column = tap % Kernel - Kernel / 2;
        const float* const from = gradient.row(y) + x;
        sums[row & 1][column & 1] +=
            taps[tap] * load<Lanes>(from - (row >> 1) * gradient.pitch() - (column >> 1));
      }
      for (int row = 0; row < 2 && 2 * y + row < out.height; ++row) {
        float* const to = out.data + std::ptrdiff_t{2 * y + row} * out.width + 2 * x;
        const auto [low, high] = interleaved<Lanes>(sums[row][0], sums[row][1]);
        const int left = out.width - 2 * x;
        store_first<Lanes>(to, low, left);
        if (left > Lanes) store_first<Lanes>(to + Lanes, high, left - Lanes);
      }
    });
  }
}

// The gradient to the input of a convolution, from the gradient to its output.
template <int Lanes, int Kernel>
void convolve_gradient(const PaddedPlane& gradient, const Filter<Kernel>& filter, int stride,
                       const Plane& out) {
  if (stride == 2) {
    const auto taps = taps_of<Lanes, Kernel>(filter);
    return input_gradient_stride2<Lanes, Kernel>(gradient, taps, out);
  }
  Filter<Kernel> rotated;
  std::reverse_copy(filter.begin(), filter.end(), rotated.begin());
  convolve<Lanes, Kernel>(gradient, rotated, 1, out.data);
}

// Rows of a filter whose sums stay in registers, of which AVX-512 has 32, others 16.
template <int Lanes, int Kernel>
constexpr int kFilterRows = Lanes == 16 || Kernel == 3 ? Kernel : 2;

// Adds the gradient to the rows of the filter from `First` on: for each tap, the sum over the
// outputs of their gradient times the pixel under the tap. The gradient has a border as wide as a
// vector, whose zeros lie beyond the end of a row.
template <int Lanes, int Kernel, int Stride, int First = 0>
void add_filter_gradient(const PaddedPlane& in, const PaddedPlane& gradient,
                         std::array<double, Kernel * Kernel>& sums) {
  constexpr int kRows = std::min(kFilterRows<Lanes, Kernel>, Kernel - First);
  Floats<Lanes> taps[kRows * Kernel] = {};
  for (int y = 0; y < gradient.height(); ++y) {
    const float* const corner = in.row(y * Stride - Kernel / 2 + First) - Kernel / 2;
    for (int x = 0; x < gradient.width(); x += Lanes) {
      const auto g = in_order_of<Lanes, Stride>(load<Lanes>(gradient.row(y) + x));
#pragma GCC unroll 32
      for (int tap = 0; tap < kRows * Kernel; ++tap) {
        const float* const from = corner + x * Stride + tap / Kernel * in.pitch();
        taps[tap] += g * pixels_under<Lanes, Stride>(from, tap % Kernel);
      }
    }
  }
#pragma GCC unroll 32
  for (int tap = 0; tap < kRows * Kernel; ++tap) {
    sums[First * Kernel + tap] += sum<Lanes>(taps[tap]);
  }
  if constexpr (First + kRows < Kernel) {
    add_filter_gradient<Lanes, Kernel, Stride, First + kRows>(in, gradient, sums);
  }
}

template <int Lanes, int Kernel>
void add_filter_gradient(const PaddedPlane& in, const PaddedPlane& gradient, int stride,
                         std::array<double, Kernel * Kernel>& sums) {
  stride == 1 ? add_filter_gradient<Lanes, Kernel, 1>(in, gradient, sums)
              : add_filter_gradient<Lanes, Kernel, 2>(in, gradient, sums);
}

}  // namespace ghostnet::cpu::training
