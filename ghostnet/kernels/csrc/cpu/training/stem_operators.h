// The stem's convolution, 3×3 of stride 2 padded by 1, is a pointwise one of nine shifted copies
// of each channel: these operators make the copies and carry their gradient back.
#pragma once

#include <algorithm>

#include "training/operators.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

constexpr int kTaps = 9;

// One of the copies: its pixel (y, x) is pixel (2y + row, 2x + column) of the channel.
struct Tap {
  int row;
  int column;

  explicit Tap(std::ptrdiff_t index)
      : row(static_cast<int>(index % kTaps / 3) - 1), column(static_cast<int>(index % 3) - 1) {}
};

// body(position in the channel, position in the copy) for every pixel of the copy that lies in the
// channel; outside(position in the copy) for the others.
template <class Inside, class Outside>
void each_pixel(Tap tap, const Shape& in, const Shape& out, Inside inside, Outside outside) {
  std::ptrdiff_t position = 0;
  for (int y = 0; y < out.height; ++y) {
    const int row = 2 * y + tap.row;
    const bool row_inside = row >= 0 && row < in.height;
    for (int x = 0; x < out.width; ++x, ++position) {
      const int column = 2 * x + tap.column;
      if (row_inside && column >= 0 && column < in.width) {
        inside(std::ptrdiff_t{row} * in.width + column, position);
      } else {
        outside(position);
      }
    }
  }
}

// pictures → copies, nine for each channel in the order of the taps.
template <int Lanes>
void unfold(const Tensors& t, int threads) {
  const ConstMaps in = t.maps_in(0);
  const Maps out = t.maps_out(1);
  share(threads, std::ptrdiff_t{out.shape.images} * out.shape.channels, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t copy) {
      const float* from = in.data + copy / kTaps * in.shape.plane();
      float* to = out.data + copy * out.shape.plane();
      each_pixel(Tap(copy), in.shape, out.shape,
                 [=](std::ptrdiff_t i, std::ptrdiff_t o) { to[o] = from[i]; },
                 [=](std::ptrdiff_t o) { to[o] = 0; });
    });
  });
}

// dcopies, pictures → dpictures.
template <int Lanes>
void unfold_gradient(const Tensors& t, int threads) {
  const ConstMaps in = t.maps_in(0);
  const Maps out = t.maps_out(2);
  share(threads, std::ptrdiff_t{out.shape.images} * out.shape.channels, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t channel) {
      float* to = out.data + channel * out.shape.plane();
      std::fill_n(to, out.shape.plane(), 0.0F);
      for (int tap = 0; tap < kTaps; ++tap) {
        const float* from = in.data + (channel * kTaps + tap) * in.shape.plane();
        each_pixel(Tap(tap), out.shape, in.shape,
                   [=](std::ptrdiff_t i, std::ptrdiff_t o) { to[i] += from[o]; },
                   [](std::ptrdiff_t) {});
      }
    });
  });
}

}  // namespace ghostnet::cpu::training
