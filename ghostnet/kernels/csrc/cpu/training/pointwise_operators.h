// Pointwise convolution and its two gradients, as operators.
#pragma once

#include "training/pointwise_weight_gradient.h"
#include "training/gemm.h"
#include "training/operators.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

// out = weights · in for every image; threads share the blocks of rows of all images.
template <int Lanes>
void multiply(const Weights& weights, ConstMaps in, Maps out, int threads) {
  const int blocks = weights.blocks();
  share(threads, std::ptrdiff_t{in.shape.images} * blocks, [&](Tasks& tasks) {
    std::vector<float> packed(std::size_t(kBlockRows) * weights.columns);
    tasks.each([&](std::ptrdiff_t task) {
      const std::ptrdiff_t image = task / blocks;
      multiply_block<Lanes>(weights, task % blocks, in.data + image * in.shape.image(),
                            out.data + image * out.shape.image(), in.shape.plane(), packed.data());
    });
  });
}

// x, weights → z.
template <int Lanes>
void pointwise(const Tensors& t, int threads) {
  const ConstMaps x = t.maps_in(0);
  const Maps z = t.maps_out(2);
  const int in = x.shape.channels;
  multiply<Lanes>({t.in(1), z.shape.channels, in, in, 1}, x, z, threads);
}

// dz, weights → dx.
template <int Lanes>
void pointwise_input_gradient(const Tensors& t, int threads) {
  const ConstMaps dz = t.maps_in(0);
  const Maps dx = t.maps_out(2);
  const int in = dx.shape.channels;
  multiply<Lanes>({t.in(1), in, dz.shape.channels, 1, in}, dz, dx, threads);
}

// dz, x → dweights. The batch of fewer channels is the one that stays in the cache.
template <int Lanes>
void pointwise_weight_gradient(const Tensors& t, int threads) {
  const ConstMaps dz = t.maps_in(0);
  const ConstMaps x = t.maps_in(1);
  float* out = t.out(2);
  const int in = x.shape.channels;
  const bool by_outputs = dz.shape.channels > in;
  const ConstMaps& outer = by_outputs ? dz : x;
  const int channels = outer.shape.channels;
  share(threads, (channels + kOuter - 1) / kOuter, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t task) {
      const int first = static_cast<int>(task) * kOuter;
      const int count = std::min(kOuter, channels - first);
      by_outputs ? channel_products<Lanes>(dz, first, count, x, out, in, 1)
                 : channel_products<Lanes>(x, first, count, dz, out, 1, in);
    });
  });
}

}  // namespace ghostnet::cpu::training
