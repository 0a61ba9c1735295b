// Pointwise convolution in tiles of pixels × channels.
//
// Inputs and weights come into shared memory one slice of input channels at a time. Inputs lie
// there channel by channel, so that a thread reads four pixels at once, and weights lie output by
// output, so that it reads four outputs at once.
#pragma once

#include <cstdint>

#include "model.h"
#include "tile.h"

namespace ghostnet::cuda {

// The sums of one thread: one quad of channels for each of its pixels.
struct Accumulators {
  Float4 pixels[kThreadPixels];
};

// The part of a tile that one thread computes.
struct ThreadTile {
  GHOSTNET_DEVICE ThreadTile(const Tile& tile, int thread)
      : quad(thread % tile.quads),
        group(thread / tile.quads % tile.pixel_groups()),
        k_split(thread / tile.quads / tile.pixel_groups()),
        groups(tile.pixel_groups()) {}

  // The first pixel of the thread's i-th four.
  GHOSTNET_DEVICE int first_pixel(int i) const { return 4 * (group + i * groups); }

  int quad;
  int group;
  int k_split;
  int groups;
};

// The product of one tile: the quads from `first_quad` on of a layer, at `count` pixels.
// source(pixel, channel) gives a quad of inputs.
template <class Source>
struct TileProduct {
  const Tile& tile;
  const Pointwise& layer;
  const Source& source;
  int first_quad;
  const int* pixels;  // indices of the pixels
  int count;
  float* staging;

  // Stages the inputs of the slice that begins with `channel`.
  GHOSTNET_DEVICE void stage_inputs(int thread, int channel) const {
    const int quads = 1 << tile.slice_bits;
    for (int i = thread; i < tile.pixels << tile.slice_bits; i += tile.threads()) {
      const int quad = i & (quads - 1);
      const int pixel = i >> tile.slice_bits;
      if (channel + 4 * quad >= layer.in) continue;
      Float4 input{};
      if (pixel < count) input = source(pixels[pixel], channel + 4 * quad);
      for (int j = 0; j < 4; ++j) staging[(4 * quad + j) * tile.pitch() + pixel] = input[j];
    }
  }

  GHOSTNET_DEVICE float* staged_weights() const { return staging + tile.slice() * tile.pitch(); }

  // Stages the weights of the slice that begins with `channel`.
  GHOSTNET_DEVICE void stage_weights(int thread, int channel) const {
    const int depth = min(tile.slice(), layer.in - channel);
    for (int i = thread; i < depth * tile.quads; i += tile.threads()) {
      const int quad = first_quad + i % tile.quads;
      Float4 weight{};
      if (quad < layer.quads()) weight = load(layer.row(channel + i / tile.quads) + 4 * quad);
      store(staged_weights() + 4 * i, weight);
    }
  }

  // Adds the products of the staged slice.
  GHOSTNET_DEVICE void add_slice(const ThreadTile& own, int channel, Accumulators& sums) const {
    const int depth = min(tile.slice(), layer.in - channel);
    for (int c = own.k_split; c < depth; c += tile.k_splits) {
      const Float4 weight = load(staged_weights() + (c * tile.quads + own.quad) * 4);
      for (int i = 0; i < kThreadPixels / 4; ++i) {
        const Float4 inputs = load(staging + c * tile.pitch() + own.first_pixel(i));
        for (int j = 0; j < 4; ++j) {
          Float4& sum = sums.pixels[4 * i + j];
          for (int n = 0; n < 4; ++n) sum[n] += inputs[j] * weight[n];
        }
      }
    }
  }

  // Adds a thread's sums to those of the k-splits before its own. The last k-split adds the bias,
  // activates and rounds.
  template <class T>
  GHOSTNET_DEVICE void collect(const ThreadTile& own, const Accumulators& sums,
                               Activation activation, float* values) const {
    const bool outside = first_quad + own.quad >= layer.quads();
    Float4 bias{};
    if (!outside) bias = load(layer.bias() + 4 * (first_quad + own.quad));
    for (int i = 0; i < kThreadPixels; ++i) {
      const int pixel = own.first_pixel(i / 4) + i % 4;
      if (pixel >= count) continue;
      float* const value = values + (pixel * tile.quads + own.quad) * 4;
      Float4 sum = sums.pixels[i];
      if (own.k_split > 0) sum = sum + load(value);
      if (own.k_split == tile.k_splits - 1) sum = rounded<T>(activate(activation, sum + bias));
      store(value, sum);
    }
  }
};

// Computes a product into `values`, [pixel][channel of the tile], rounded to T. The staging memory
// may begin where `values` does.
template <class T, class Source, class Registers>
GHOSTNET_DEVICE void multiply(ThreadBlock<Registers>& threads, const TileProduct<Source>& product,
                              Activation activation, float* values) {
  const Tile& tile = product.tile;
  threads.each([&](int, Registers& own) { own.sums = Accumulators{}; });
  for (int channel = 0; channel < product.layer.in; channel += tile.slice()) {
    threads.each([&](int thread, Registers&) {
      product.stage_inputs(thread, channel);
      product.stage_weights(thread, channel);
    });
    threads.each([&](int thread, Registers& own) {
      product.add_slice(ThreadTile(tile, thread), channel, own.sums);
    });
  }
  for (int k_split = 0; k_split < tile.k_splits; ++k_split) {
    threads.each([&](int thread, Registers& own) {
      const ThreadTile part(tile, thread);
      if (part.k_split == k_split) {
        product.template collect<T>(part, own.sums, activation, values);
      }
    });
  }
}

// Inputs from a map, multiplied by the gates of squeeze-excite where there are any.
template <class T>
struct MapSource {
  const T* map;
  const float* gates;  // [image][channel], or null
  int channels;
  int image_pixels;

  GHOSTNET_DEVICE Float4 operator()(int pixel, int channel) const {
    const Float4 value = load(map + static_cast<std::int64_t>(pixel) * channels + channel);
    if (gates == nullptr) return value;
    return rounded<T>(
        value * load(gates + static_cast<std::int64_t>(pixel / image_pixels) * channels + channel));
  }
};

}  // namespace ghostnet::cuda
