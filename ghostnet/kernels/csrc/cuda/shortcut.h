// A shortcut as one kernel: a pointwise convolution whose inputs are a depthwise convolution,
// computed when they are needed.
#pragma once

#include "depthwise.h"
#include "pointwise.h"

namespace ghostnet::cuda {

// A depthwise convolution of a map, as a source of inputs.
template <class T>
struct DepthwiseSource {
  Depthwise layer;
  int stride;
  Grid in;
  Grid out;
  const T* map;

  GHOSTNET_DEVICE Quad operator()(int pixel, int channel) const {
    const int image = pixel / out.image_pixels();
    const auto read = [&](int row, int column) {
      if (row < 0 || row >= in.height || column < 0 || column >= in.width) return Quad{};
      return load(map + static_cast<std::int64_t>(pixel_of(in, {image, row, column})) *
                            layer.channels + channel);
    };
    return rounded<T>(depthwise(layer, stride, channel / 4, pixel / out.width % out.height,
                                pixel % out.width, read));
  }
};

template <class T>
struct ShortcutKernel {
  struct Registers {
    Sums sums;
  };

  Pointwise pointwise;
  DepthwiseSource<T> source;
  Tile tile;
  T* out;

  Launch size() const {
    return {ceil_div(source.out.pixels(), tile.pixels) * tile.chunks(pointwise.quads()),
            tile.threads(), tile.pixels + max(tile.staging_floats(), tile.value_floats())};
  }

  GHOSTNET_DEVICE void run(Team<Registers>& team, int block, float* shared) const {
    const int chunks = tile.chunks(pointwise.quads());
    const int first_quad = block % chunks * tile.quads;
    const int first = block / chunks * tile.pixels;
    const int count = min(tile.pixels, source.out.pixels() - first);
    int* const pixels = reinterpret_cast<int*>(shared);
    float* const values = shared + tile.pixels;
    team.each([&](int thread, Registers&) {
      for (int i = thread; i < count; i += tile.threads()) pixels[i] = first + i;
    });
    multiply<T>(team, Product<DepthwiseSource<T>>{tile, pointwise, source, first_quad, pixels,
                                                  count, values},
                Activation::kNone, values);
    team.each([&](int thread, Registers&) {
      for (int i = thread; i < count * tile.quads; i += tile.threads()) {
        const int quad = first_quad + i % tile.quads;
        if (quad >= pointwise.quads()) continue;
        const std::int64_t pixel = first + i / tile.quads;
        store(out + pixel * pointwise.out + 4 * quad, load(values + 4 * i));
      }
    });
  }
};

}  // namespace ghostnet::cuda
