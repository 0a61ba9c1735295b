// Pointwise convolution and its two gradients, as operators.
#pragma once

#include <algorithm>
#include <cstddef>

#include "training/arguments.h"
#include "training/feature_maps.h"
#include "training/gemm.h"
#include "training/operators.h"
#include "training/parallel_for.h"
#include "training/pointwise_weight_gradient.h"

namespace ghostnet::cpu::training {

// out = weights · in for every image. Threads take one tile of rows of one image at a time.
template <int Lanes>
void multiply(const WeightMatrix& weights, ConstFeatureMaps in, FeatureMaps out, int threads) {
  const PackedWeights<Lanes> packed(weights, threads);
  const int tiles = packed.tiles();
  parallel_for(threads, std::ptrdiff_t{in.shape.images} * tiles, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t index) {
      const std::ptrdiff_t image = index / tiles;
      packed.multiply_tile(index % tiles, {in.image(image), out.image(image), in.shape.plane()});
    });
  });
}

template <int Lanes>
void pointwise(const Tensors& t, int threads) {
  using A = PointwiseArguments;
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps z = t.maps_out(A::kZ);
  const int in = x.shape.channels;
  multiply<Lanes>({t.in(A::kWeights), z.shape.channels, in, in, 1}, x, z, threads);
}

template <int Lanes>
void pointwise_input_gradient(const Tensors& t, int threads) {
  using A = PointwiseInputGradientArguments;
  const ConstFeatureMaps dz = t.maps_in(A::kZGradient);
  const FeatureMaps dx = t.maps_out(A::kXGradient);
  const int in = dx.shape.channels;
  multiply<Lanes>({t.in(A::kWeights), in, dz.shape.channels, 1, in}, dz, dx, threads);
}

// The batch of fewer channels is the inner one, which stays in the cache.
template <int Lanes>
void pointwise_weight_gradient(const Tensors& t, int threads) {
  using A = PointwiseWeightGradientArguments;
  const ConstFeatureMaps dz = t.maps_in(A::kZGradient);
  const ConstFeatureMaps x = t.maps_in(A::kX);
  float* const out = t.out(A::kWeightsGradient);
  const int in = x.shape.channels;
  const ChannelProducts products = dz.shape.channels > in ? ChannelProducts{dz, x, out, in, 1}
                                                          : ChannelProducts{x, dz, out, 1, in};
  const int channels = products.outer.shape.channels;
  constexpr int kStep = kOuter<Lanes>;
  parallel_for(threads, (channels + kStep - 1) / kStep, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t index) {
      const int first = static_cast<int>(index) * kStep;
      channel_products<Lanes>(products, first, std::min(kStep, channels - first));
    });
  });
}

}  // namespace ghostnet::cpu::training
