// A tile of a pointwise convolution: pixels × channels, Σ over the input channels.
//
// Inputs and weights come into shared memory slice by slice. There inputs lie channel by channel,
// so that a thread reads four pixels at once, and weights four outputs at once.
#pragma once

#include "model.h"
#include "tile.h"

namespace ghostnet::cuda {

// What a thread keeps of a product.
struct Sums {
  Quad pixels[kThreadPixels];
};

// Whose part of a tile a thread computes.
struct Share {
  GHOSTNET_DEVICE Share(const Tile& tile, int thread)
      : quad(thread % tile.quads),
        group(thread / tile.quads % tile.groups()),
        part(thread / tile.quads / tile.groups()),
        groups(tile.groups()) {}

  // The first of the i-th four of its pixels.
  GHOSTNET_DEVICE int four(int i) const { return 4 * (group + i * groups); }

  int quad;
  int group;
  int part;
  int groups;
};

// One product: the quads from `first_quad` on of a layer, at `count` pixels. `pixels` has their
// numbers; source(pixel, channel) gives a quad of inputs.
template <class Source>
struct Product {
  const Tile& tile;
  const Pointwise& layer;
  const Source& source;
  int first_quad;
  const int* pixels;
  int count;
  float* staging;

  // Brings the inputs from `channel` on into shared memory.
  GHOSTNET_DEVICE void stage_inputs(int thread, int channel) const {
    const int quads = 1 << tile.slice_bits;
    for (int i = thread; i < tile.pixels << tile.slice_bits; i += tile.threads()) {
      const int quad = i & (quads - 1);
      const int pixel = i >> tile.slice_bits;
      if (channel + 4 * quad >= layer.in) continue;
      Quad input{};
      if (pixel < count) input = source(pixels[pixel], channel + 4 * quad);
      for (int j = 0; j < 4; ++j) staging[(4 * quad + j) * tile.pitch() + pixel] = input[j];
    }
  }

  GHOSTNET_DEVICE float* staged_weights() const { return staging + tile.slice() * tile.pitch(); }

  // Brings the weights of the inputs from `channel` on into shared memory.
  GHOSTNET_DEVICE void stage_weights(int thread, int channel) const {
    const int depth = min(tile.slice(), layer.in - channel);
    for (int i = thread; i < depth * tile.quads; i += tile.threads()) {
      const int quad = first_quad + i % tile.quads;
      Quad weight{};
      if (quad < layer.quads()) weight = load(layer.row(channel + i / tile.quads) + 4 * quad);
      store(staged_weights() + 4 * i, weight);
    }
  }

  GHOSTNET_DEVICE void add_slice(const Share& share, int channel, Sums& sums) const {
    const int depth = min(tile.slice(), layer.in - channel);
    for (int c = share.part; c < depth; c += tile.parts) {
      const Quad weight = load(staged_weights() + (c * tile.quads + share.quad) * 4);
      for (int i = 0; i < kThreadPixels / 4; ++i) {
        const Quad inputs = load(staging + c * tile.pitch() + share.four(i));
        for (int j = 0; j < 4; ++j) {
          Quad& sum = sums.pixels[4 * i + j];
          for (int n = 0; n < 4; ++n) sum[n] += inputs[j] * weight[n];
        }
      }
    }
  }

  // Adds a thread's sums to those of the parts before its own; the last part completes them.
  template <class T>
  GHOSTNET_DEVICE void collect(const Share& share, const Sums& sums, Activation activation,
                               float* values) const {
    const bool outside = first_quad + share.quad >= layer.quads();
    Quad bias{};
    if (!outside) bias = load(layer.bias() + 4 * (first_quad + share.quad));
    for (int i = 0; i < kThreadPixels; ++i) {
      const int pixel = share.four(i / 4) + i % 4;
      if (pixel >= count) continue;
      float* const value = values + (pixel * tile.quads + share.quad) * 4;
      Quad sum = sums.pixels[i];
      if (share.part > 0) sum = sum + load(value);
      if (share.part == tile.parts - 1) sum = rounded<T>(activate(activation, sum + bias));
      store(value, sum);
    }
  }
};

// Computes a product into `values`, [pixel][channel of the tile], which may share its memory with
// the staging; every value is as a map of T would keep it.
template <class T, class Source, class Registers>
GHOSTNET_DEVICE void multiply(Team<Registers>& team, const Product<Source>& product,
                              Activation activation, float* values) {
  const Tile& tile = product.tile;
  team.each([&](int, Registers& own) { own.sums = Sums{}; });
  for (int channel = 0; channel < product.layer.in; channel += tile.slice()) {
    team.each([&](int thread, Registers&) {
      product.stage_inputs(thread, channel);
      product.stage_weights(thread, channel);
    });
    team.each([&](int thread, Registers& own) {
      product.add_slice(Share(tile, thread), channel, own.sums);
    });
  }
  for (int part = 0; part < tile.parts; ++part) {
    team.each([&](int thread, Registers& own) {
      const Share share(tile, thread);
      if (share.part == part) product.template collect<T>(share, own.sums, activation, values);
    });
  }
}

// Inputs as they lie in a map, times the gates of squeeze-excite where there are any.
template <class T>
struct MapSource {
  const T* map;
  const float* gates;  // [image][channel]
  int channels;
  int image_pixels;

  GHOSTNET_DEVICE Quad operator()(int pixel, int channel) const {
    const Quad value = load(map + static_cast<std::int64_t>(pixel) * channels + channel);
    if (gates == nullptr) return value;
    return rounded<T>(
        value * load(gates + static_cast<std::int64_t>(pixel / image_pixels) * channels + channel));
  }
};

}  // namespace ghostnet::cuda
