// The stem: a 3×3 convolution with stride 2, from images (NCHW) to a map (NHWC). Each thread
// computes all channels of one pixel.
#pragma once

#include <cstdint>

#include "geometry.h"
#include "model.h"

namespace ghostnet::cuda {

template <class T>
struct StemKernel {
  static constexpr int kTaps = 27;  // [color][row][column]

  struct Registers {};

  Pointwise layer;
  Activation activation;
  Grid in;
  Grid out_grid;
  const T* images;
  T* out;

  LaunchSize size() const { return {ceil_div(out_grid.pixels(), kMaxThreads), kMaxThreads, 0}; }

  GHOSTNET_DEVICE void run(ThreadBlock<Registers>& threads, int block_index, float*) const {
    threads.each([&](int thread, Registers&) {
      const int pixel = block_index * kMaxThreads + thread;
      if (pixel < out_grid.pixels()) convolve(pixel);
    });
  }

  GHOSTNET_DEVICE void convolve(int pixel) const {
    const int top = pixel / out_grid.width % out_grid.height * 2 - 1;
    const int left = pixel % out_grid.width * 2 - 1;
    const std::int64_t image = pixel / out_grid.image_pixels();
    float taps[kTaps];
    GHOSTNET_UNROLL
    for (int i = 0; i < kTaps; ++i) {
      const int row = top + i / 3 % 3;
      const int column = left + i % 3;
      const bool inside = row >= 0 && row < in.height && column >= 0 && column < in.width;
      const std::int64_t plane = image * 3 + i / 9;
      taps[i] =
          inside ? static_cast<float>(images[(plane * in.height + row) * in.width + column]) : 0.0F;
    }
    for (int quad = 0; quad < layer.quads(); ++quad) {
      Float4 sum = load(layer.bias() + 4 * quad);
      GHOSTNET_UNROLL
      for (int i = 0; i < kTaps; ++i) sum = sum + load(layer.row(i) + 4 * quad) * taps[i];
      store(out + static_cast<std::int64_t>(pixel) * layer.out + 4 * quad,
            activate(activation, sum));
    }
  }
};

}  // namespace ghostnet::cuda
