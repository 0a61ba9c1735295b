// Depthwise convolution of one zero-padded plane, and its gradients.
//
// The rows of a padded plane lie one after the other with `border` zeros between them, which serve
// as the right border of one row and the left border of the next. A convolution of stride 1 is thus
// one loop over all positions, whatever the width; what it computes for the border is never read. A
// convolution of stride 2 is one of stride 1 of which every second row and column is kept. Its
// gradient lies in the padded plane two rows and columns apart, with zeros between.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "simd/vector.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

class PaddedPlane {
 public:
  PaddedPlane(int height, int width, int border)
      : height_(height),
        width_(width),
        pitch_(width + border),
        margin_(border * (pitch_ + 1)),
        memory_(2 * margin_ + std::size_t(height) * pitch_ + kMaxLanes) {}

  int height() const { return height_; }
  int width() const { return width_; }
  int pitch() const { return pitch_; }  // floats from row to row
  std::ptrdiff_t size() const { return std::ptrdiff_t{height_} * pitch_; }
  float* data() { return memory_.data() + margin_; }
  const float* data() const { return memory_.data() + margin_; }

  // Copies a plane of ⌈height / stride⌉ × ⌈width / stride⌉ to every `stride`th row and column.
  template <int Lanes>
  void set(const float* plane, int stride) {
    each_row(stride, [&](std::ptrdiff_t at, std::ptrdiff_t position, int columns) {
      if (stride == 1) {
        copy_row<Lanes>(plane + at, columns, data() + position);
      } else {
        for (int x = 0; x < columns; ++x) data()[position + x * stride] = plane[at + x];
      }
    });
  }

  // The reverse of set().
  template <int Lanes>
  void get(float* plane, int stride) const {
    each_row(stride, [&](std::ptrdiff_t at, std::ptrdiff_t position, int columns) {
      if (stride == 1) {
        copy_row<Lanes>(data() + position, columns, plane + at);
      } else {
        for (int x = 0; x < columns; ++x) plane[at + x] = data()[position + x * stride];
      }
    });
  }

 private:
  // body(position in the plane, position in the padded plane, columns of the plane)
  template <class Body>
  void each_row(int stride, Body body) const {
    const int columns = (width_ + stride - 1) / stride;
    std::ptrdiff_t at = 0;
    for (int y = 0; y < height_; y += stride, at += columns) {
      body(at, std::ptrdiff_t{y} * pitch_, columns);
    }
  }

  int height_;
  int width_;
  int pitch_;
  std::ptrdiff_t margin_;  // floats before the first and after the last row
  std::vector<float> memory_;
};

// The weights of one channel, row by row.
template <int Kernel>
using Filter = std::array<float, Kernel * Kernel>;

// Each weight of a filter in all lanes.
template <int Lanes, int Kernel>
using Taps = std::array<Floats<Lanes>, Kernel * Kernel>;

// Computes some vectors of outputs; `corner` is the input under the first tap of the first one.
template <int Lanes, int Kernel, int Vectors>
inline void correlate_vectors(const float* corner, int pitch, const Taps<Lanes, Kernel>& taps,
                              float* out) {
  Floats<Lanes> sums[Vectors] = {};
#pragma GCC unroll 32
  for (int tap = 0; tap < Kernel * Kernel; ++tap) {
    const float* from = corner + tap / Kernel * pitch + tap % Kernel;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[v] += taps[tap] * load<Lanes>(from + v * Lanes);
  }
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) store<Lanes>(out + v * Lanes, sums[v]);
}

// out[p] = Σ filter[tap] · in[p + offset of tap] for p from `begin` to `end`.
template <int Lanes, int Kernel>
void correlate(const PaddedPlane& in, const Filter<Kernel>& filter, std::ptrdiff_t begin,
               std::ptrdiff_t end, PaddedPlane& out) {
  constexpr int kVectors = 2;  // whose sums do not wait for each other
  const int pitch = in.pitch();
  const float* corner = in.data() - Kernel / 2 * (pitch + 1);
  Taps<Lanes, Kernel> taps;
#pragma GCC unroll 32
  for (int tap = 0; tap < Kernel * Kernel; ++tap) taps[tap] = broadcast<Lanes>(filter[tap]);
  std::ptrdiff_t p = begin;
  for (; p + kVectors * Lanes <= end; p += kVectors * Lanes) {
    correlate_vectors<Lanes, Kernel, kVectors>(corner + p, pitch, taps, out.data() + p);
  }
  for (; p < end; p += Lanes) {
    correlate_vectors<Lanes, Kernel, 1>(corner + p, pitch, taps, out.data() + p);
  }
}

// Computes every `stride`th row of the convolution, but all columns; PaddedPlane::get() leaves out
// the columns between.
template <int Lanes, int Kernel>
void convolve(const PaddedPlane& in, const Filter<Kernel>& filter, int stride, PaddedPlane& out) {
  if (stride == 1) return correlate<Lanes, Kernel>(in, filter, 0, in.size(), out);
  for (std::ptrdiff_t y = 0; y < in.height(); y += stride) {
    correlate<Lanes, Kernel>(in, filter, y * in.pitch(), y * in.pitch() + in.width(), out);
  }
}

// The gradient to the input of a convolution, from the gradient to its output.
template <int Lanes, int Kernel>
void convolve_gradient(const PaddedPlane& gradient, const Filter<Kernel>& filter,
                       PaddedPlane& out) {
  Filter<Kernel> rotated;
  std::reverse_copy(filter.begin(), filter.end(), rotated.begin());
  correlate<Lanes, Kernel>(gradient, rotated, 0, gradient.size(), out);
}

// Rows of a filter whose sums stay in registers, of which AVX-512 has 32, others 16.
template <int Lanes, int Kernel>
constexpr int kFilterRows = Lanes == 16 || Kernel == 3 ? Kernel : 2;

// Adds the gradient to the rows of the filter from `First` on: for each tap
// Σ gradient[p] · in[p + offset of tap].
template <int Lanes, int Kernel, int First = 0>
void add_filter_gradient(const PaddedPlane& in, const PaddedPlane& gradient,
                         std::array<double, Kernel * Kernel>& sums) {
  constexpr int kRows = std::min(kFilterRows<Lanes, Kernel>, Kernel - First);
  const int pitch = in.pitch();
  const float* corner = in.data() - Kernel / 2 * (pitch + 1) + First * pitch;
  Floats<Lanes> taps[kRows * Kernel] = {};
  for (std::ptrdiff_t p = 0; p < in.size(); p += Lanes) {
    const Floats<Lanes> g = load<Lanes>(gradient.data() + p);
#pragma GCC unroll 32
    for (int tap = 0; tap < kRows * Kernel; ++tap) {
      taps[tap] += g * load<Lanes>(corner + p + tap / Kernel * pitch + tap % Kernel);
    }
  }
#pragma GCC unroll 32
  for (int tap = 0; tap < kRows * Kernel; ++tap) {
    sums[First * Kernel + tap] += sum<Lanes>(taps[tap]);
  }
  if constexpr (First + kRows < Kernel) {
    add_filter_gradient<Lanes, Kernel, First + kRows>(in, gradient, sums);
  }
}

}  // namespace ghostnet::cpu::training
