// The stem's convolution, 3×3 of stride 2 padded by 1, is a pointwise convolution of nine shifted
// copies of each channel. These operators make the copies and carry their gradient back.
#pragma once

#include <algorithm>
#include <cstddef>

#include "training/arguments.h"
#include "training/feature_maps.h"
#include "training/operators.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

constexpr int kTaps = 9;

// The shift of one copy: its pixel (y, x) is pixel (2y + row, 2x + column) of the channel.
struct Tap {
  int row;
  int column;

  explicit Tap(std::ptrdiff_t index)
      : row(static_cast<int>(index % kTaps / 3) - 1), column(static_cast<int>(index % 3) - 1) {}
};

// Calls inside(position in the channel, position in the copy) for every pixel of the copy that lies
// in the channel, and outside(position in the copy) for the others.
template <class Inside, class Outside>
void each_pixel(Tap tap, const Shape& in, const Shape& out, Inside inside, Outside outside) {
  std::ptrdiff_t position = 0;
  for (int y = 0; y < out.height; ++y) {
    const int row = 2 * y + tap.row;
    const bool row_inside = row >= 0 && row < in.height;
    const int begin = tap.column < 0 ? 1 : 0;
    const int end = row_inside ? std::min(out.width, (in.width - tap.column + 1) / 2) : 0;
    int x = 0;
    for (; x < begin; ++x) outside(position + x);
    for (; x < end; ++x) inside(std::ptrdiff_t{row} * in.width + 2 * x + tap.column, position + x);
    for (; x < out.width; ++x) outside(position + x);
    position += out.width;
  }
}

// Makes nine copies of each channel, in the order of the taps.
template <int Lanes>
void unfold(const Tensors& t, int threads) {
  const ConstFeatureMaps in = t.maps_in(UnfoldArguments::kImages);
  const FeatureMaps out = t.maps_out(UnfoldArguments::kCopies);
  const std::ptrdiff_t copies = std::ptrdiff_t{out.shape.images} * out.shape.channels;
  parallel_for(threads, copies, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t copy) {
      const float* from = in.data + copy / kTaps * in.shape.plane();
      float* to = out.data + copy * out.shape.plane();
      each_pixel(
          Tap(copy), in.shape, out.shape,
          [=](std::ptrdiff_t i, std::ptrdiff_t o) { to[o] = from[i]; },
          [=](std::ptrdiff_t o) { to[o] = 0; });
    });
  });
}

template <int Lanes>
void unfold_gradient(const Tensors& t, int threads) {
  const ConstFeatureMaps in = t.maps_in(UnfoldGradientArguments::kCopiesGradient);
  const FeatureMaps out = t.maps_out(UnfoldGradientArguments::kImagesGradient);
  const std::ptrdiff_t channels = std::ptrdiff_t{out.shape.images} * out.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t channel) {
      float* to = out.data + channel * out.shape.plane();
      std::fill_n(to, out.shape.plane(), 0.0F);
      for (int tap = 0; tap < kTaps; ++tap) {
        const float* from = in.data + (channel * kTaps + tap) * in.shape.plane();
        each_pixel(
            Tap(tap), out.shape, in.shape,
            [=](std::ptrdiff_t i, std::ptrdiff_t o) { to[i] += from[o]; }, [](std::ptrdiff_t) {});
      }
    });
  });
}

}  // namespace ghostnet::cpu::training
