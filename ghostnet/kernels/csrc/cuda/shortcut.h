// A shortcut as one kernel: a pointwise convolution that computes its inputs, a depthwise
// convolution, when it stages them.
#pragma once

#include <cstdint>

#include "depthwise.h"
#include "pointwise.h"

namespace ghostnet::cuda {

// Inputs from a depthwise convolution of a map.
template <class T>
struct DepthwiseSource {
  Depthwise layer;
  int stride;
  Grid in;
  Grid out;
  const T* map;

  GHOSTNET_DEVICE Float4 operator()(int pixel, int channel) const {
    const Position output{pixel / out.image_pixels(), pixel / out.width % out.height,
                          pixel % out.width};
    const auto read = [&](int row, int column) {
      if (row < 0 || row >= in.height || column < 0 || column >= in.width) return Float4{};
      const std::int64_t from = pixel_of(in, {output.image, row, column});
      return load(map + from * layer.channels + channel);
    };
    return rounded<T>(depthwise(layer, stride, channel / 4, output, read));
  }
};

template <class T>
struct ShortcutKernel {
  struct Registers {
    Accumulators sums;
  };

  Pointwise pointwise;
  DepthwiseSource<T> source;
  Tile tile;
  T* out;

  LaunchSize size() const {
    return {ceil_div(source.out.pixels(), tile.pixels) * tile.tiles_for(pointwise.quads()),
            tile.threads(), tile.pixels + max(tile.staging_floats(), tile.value_floats())};
  }

  GHOSTNET_DEVICE void run(ThreadBlock<Registers>& threads, int block_index, float* shared) const {
    const int quad_tiles = tile.tiles_for(pointwise.quads());
    const int first_quad = block_index % quad_tiles * tile.quads;
    const int first = block_index / quad_tiles * tile.pixels;
    const int count = min(tile.pixels, source.out.pixels() - first);
    int* const pixels = reinterpret_cast<int*>(shared);
    float* const values = shared + tile.pixels;
    threads.each([&](int thread, Registers&) {
      for (int i = thread; i < count; i += tile.threads()) pixels[i] = first + i;
    });
    const TileProduct<DepthwiseSource<T>> product{tile,   pointwise, source, first_quad,
                                                  pixels, count,     values};
    multiply<T>(threads, product, Activation::kNone, values);
    threads.each([&](int thread, Registers&) {
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
