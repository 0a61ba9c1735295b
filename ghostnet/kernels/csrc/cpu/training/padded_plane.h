// Depthwise convolution of one plane in a frame of zeros, and its gradients.
//
// In a frame the rows of a plane lie one after the other with `border` zeros between them, which
// are the right border of one row and the left border of the next. So a convolution of stride 1 is
// one loop over all positions, whatever the width: what it gives for the positions in the border is
// never read. A convolution of stride 2 is one of stride 1 of which every second row and column is
// kept; its gradient lies in the frame two rows and columns apart, with zeros between.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

class Frame {
 public:
  Frame(int height, int width, int border)
      : height_(height),
        width_(width),
        pitch_(width + border),
        margin_(border * (pitch_ + 1)),
        memory_(2 * margin_ + std::size_t(height) * pitch_ + kMaxLanes) {}

  int height() const { return height_; }
  int width() const { return width_; }
  int pitch() const { return pitch_; }
  std::ptrdiff_t size() const { return std::ptrdiff_t{height_} * pitch_; }
  float* data() { return memory_.data() + margin_; }
  const float* data() const { return memory_.data() + margin_; }

  // A plane of ⌈height / stride⌉ × ⌈width / stride⌉ to every `stride`th row and column.
  void set(const float* plane, int stride) {
    each_row(stride, [&](std::ptrdiff_t at, std::ptrdiff_t position, int columns) {
      if (stride == 1) {
        std::copy_n(plane + at, columns, data() + position);
      } else {
        for (int x = 0; x < columns; ++x) data()[position + x * stride] = plane[at + x];
      }
    });
  }

  // The reverse.
  void get(float* plane, int stride) const {
    each_row(stride, [&](std::ptrdiff_t at, std::ptrdiff_t position, int columns) {
      if (stride == 1) {
        std::copy_n(data() + position, columns, plane + at);
      } else {
        for (int x = 0; x < columns; ++x) plane[at + x] = data()[position + x * stride];
      }
    });
  }

 private:
  // body(position in the plane, position in the frame, columns of the plane)
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
  std::ptrdiff_t margin_;
  std::vector<float> memory_;
};

template <int Kernel>
using Filter = std::array<float, Kernel * Kernel>;

// out[p] = Σ filter[tap] · in[p + offset of tap] for the positions of some rows.
template <int Lanes, int Kernel>
void correlate(const Frame& in, const Filter<Kernel>& filter, std::ptrdiff_t begin,
               std::ptrdiff_t end, Frame& out) {
  const int pitch = in.pitch();
  const float* corner = in.data() - Kernel / 2 * (pitch + 1);
  for (std::ptrdiff_t p = begin; p < end; p += Lanes) {
    Floats<Lanes> sums = {};
    for (int y = 0; y < Kernel; ++y) {
      for (int x = 0; x < Kernel; ++x) {
        sums += filter[y * Kernel + x] * load<Lanes>(corner + p + y * pitch + x);
      }
    }
    store<Lanes>(out.data() + p, sums);
  }
}

// The convolution at every `stride`th row; columns between are for `Frame::get` to leave out.
template <int Lanes, int Kernel>
void convolve(const Frame& in, const Filter<Kernel>& filter, int stride, Frame& out) {
  if (stride == 1) return correlate<Lanes, Kernel>(in, filter, 0, in.size(), out);
  for (std::ptrdiff_t y = 0; y < in.height(); y += stride) {
    correlate<Lanes, Kernel>(in, filter, y * in.pitch(), y * in.pitch() + in.width(), out);
  }
}

// The gradient to the input of a convolution, from that to its output.
template <int Lanes, int Kernel>
void convolve_back(const Frame& gradient, const Filter<Kernel>& filter, Frame& out) {
  Filter<Kernel> turned;
  std::reverse_copy(filter.begin(), filter.end(), turned.begin());
  correlate<Lanes, Kernel>(gradient, turned, 0, gradient.size(), out);
}

// Adds the gradient to the filter: at each tap Σ gradient[p] · in[p + offset of tap].
template <int Lanes, int Kernel>
void add_filter_gradient(const Frame& in, const Frame& gradient,
                         std::array<double, Kernel * Kernel>& sums) {
  const int pitch = in.pitch();
  const float* corner = in.data() - Kernel / 2 * (pitch + 1);
  Floats<Lanes> taps[Kernel * Kernel] = {};
  for (std::ptrdiff_t p = 0; p < in.size(); p += Lanes) {
    const Floats<Lanes> g = load<Lanes>(gradient.data() + p);
    for (int y = 0; y < Kernel; ++y) {
      for (int x = 0; x < Kernel; ++x) {
        taps[y * Kernel + x] += g * load<Lanes>(corner + p + y * pitch + x);
      }
    }
  }
  for (int tap = 0; tap < Kernel * Kernel; ++tap) sums[tap] += sum<Lanes>(taps[tap]);
}

}  // namespace ghostnet::cpu::training
