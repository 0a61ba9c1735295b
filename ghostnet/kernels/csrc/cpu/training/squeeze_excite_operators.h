// Squeeze-excite and its gradients, as operators. Threads take whole images, which stay in the
// cache from the means to the scaling.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "simd/vector.h"
#include "training/activation_gradient.h"
#include "training/arguments.h"
#include "training/feature_maps.h"
#include "training/operators.h"
#include "training/parallel_for.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

// Σ a · b
template <int Lanes>
float dot(const float* a, const float* b, std::ptrdiff_t size) {
  return sum_vectors<Lanes>(
      size, [=](auto lanes, std::ptrdiff_t i) { return load<lanes>(a + i) * load<lanes>(b + i); });
}

// to += factor · from
template <int Lanes>
void add_scaled(float factor, const float* from, std::ptrdiff_t size, float* to) {
  for_each_vector<Lanes>(size, [=](auto lanes, std::ptrdiff_t i) {
    store<lanes>(to + i, load<lanes>(to + i) + factor * load<lanes>(from + i));
  });
}

inline float gate_of(float excitation) { return hard_sigmoid<1>(Floats<1>{excitation})[0]; }

// The two dense layers: `reduce` is [squeezed channel][channel], `expand` the other way around.
struct SqueezeExciteLayers {
  const float* reduce;
  const float* reduce_bias;  // null in the backward pass, as is expand_bias
  const float* expand;
  const float* expand_bias;
  int channels;
  int squeezed_size;  // channels between the layers

  const float* reduce_row(std::ptrdiff_t r) const { return reduce + r * channels; }
  const float* expand_row(std::ptrdiff_t c) const { return expand + c * squeezed_size; }
};

// One image in the forward pass. The excitations are the output of `expand`, of which the gates are
// the hard sigmoid.
struct SqueezeExciteImage {
  const float* x;
  std::ptrdiff_t plane;
  float* means;        // [channel]
  float* squeezed;     // [squeezed channel]
  float* excitations;  // [channel]
  float* y;
};

template <int Lanes>
void squeeze_excite_image(const SqueezeExciteLayers& layers, const SqueezeExciteImage& image) {
  const auto [x, plane, means, squeezed, excitations, y] = image;
  for (int c = 0; c < layers.channels; ++c) {
    const float* from = x + c * plane;
    means[c] = sum_vectors<Lanes>(
                   plane, [from](auto lanes, std::ptrdiff_t i) { return load<lanes>(from + i); }) /
               plane;
  }
  for (int r = 0; r < layers.squeezed_size; ++r) {
    squeezed[r] = std::max(
        0.0F, layers.reduce_bias[r] + dot<Lanes>(layers.reduce_row(r), means, layers.channels));
  }
  for (int c = 0; c < layers.channels; ++c) {
    excitations[c] =
        layers.expand_bias[c] + dot<Lanes>(layers.expand_row(c), squeezed, layers.squeezed_size);
    const float gate = gate_of(excitations[c]);
    for_each_vector<Lanes>(
        plane, [from = x + c * plane, to = y + c * plane, gate](auto lanes, std::ptrdiff_t i) {
          store<lanes>(to + i, gate * load<lanes>(from + i));
        });
  }
}

template <int Lanes>
void squeeze_excite(const Tensors& t, int threads) {
  using A = SqueezeExciteArguments;
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps y = t.maps_out(A::kY);
  const int channels = x.shape.channels;
  const int squeezed_size = static_cast<int>(t.extent(A::kReduce, 0));
  const SqueezeExciteLayers layers{t.in(A::kReduce), t.in(A::kReduceBias),
                                   t.in(A::kExpand), t.in(A::kExpandBias),
                                   channels,         squeezed_size};
  parallel_for(threads, x.shape.images, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t image) {
      squeeze_excite_image<Lanes>(
          layers, {x.image(image), x.shape.plane(), t.out(A::kMeans) + image * channels,
                   t.out(A::kSqueezed) + image * squeezed_size,
                   t.out(A::kExcitations) + image * channels, y.image(image)});
    });
  });
}

// One image in the backward pass. dsqueezed and dexcitations are the gradients to what each dense
// layer gives before its activation.
struct SqueezeExciteImageGradient {
  const float* dy;
  const float* x;
  std::ptrdiff_t plane;
  const float* squeezed;
  const float* excitations;
  float* dsqueezed;
  float* dexcitations;
  float* dmeans;
  float* dx;
};

template <int Lanes>
void squeeze_excite_image_gradient(const SqueezeExciteLayers& layers,
                                   const SqueezeExciteImageGradient& image) {
  const auto [dy, x, plane, squeezed, excitations, dsqueezed, dexcitations, dmeans, dx] = image;
  std::fill_n(dsqueezed, layers.squeezed_size, 0.0F);
  for (int c = 0; c < layers.channels; ++c) {
    const float excitation = excitations[c];
    const bool inside = excitation > -3 && excitation < 3;
    dexcitations[c] = inside ? dot<Lanes>(dy + c * plane, x + c * plane, plane) / 6 : 0;
    add_scaled<Lanes>(dexcitations[c], layers.expand_row(c), layers.squeezed_size, dsqueezed);
  }
  std::fill_n(dmeans, layers.channels, 0.0F);
  for (int r = 0; r < layers.squeezed_size; ++r) {
    if (squeezed[r] <= 0) dsqueezed[r] = 0;
    add_scaled<Lanes>(dsqueezed[r], layers.reduce_row(r), layers.channels, dmeans);
  }
  for (int c = 0; c < layers.channels; ++c) {
    const float gate = gate_of(excitations[c]);
    const float from_mean = dmeans[c] / plane;
    for_each_vector<Lanes>(plane, [from = dy + c * plane, to = dx + c * plane, gate, from_mean](
                                      auto lanes, std::ptrdiff_t i) {
      store<lanes>(to + i, gate * load<lanes>(from + i) + from_mean);
    });
  }
}

// The gradients of a dense layer, from the gradient to its output and its input, which have a row
// for each image.
struct DenseGradient {
  const float* gradient;
  int rows;
  const float* in;
  int columns;
  int images;
  float* weights;
  float* bias;
};

// For all rows, sums over the images: weights[row] = Σ gradient[row] · in and
// bias[row] = Σ gradient[row].
template <int Lanes>
void dense_gradient(const DenseGradient& layer) {
  for (int row = 0; row < layer.rows; ++row) {
    float* to = layer.weights + std::ptrdiff_t{row} * layer.columns;
    std::fill_n(to, layer.columns, 0.0F);
    layer.bias[row] = 0;
    for (int image = 0; image < layer.images; ++image) {
      const float factor = layer.gradient[std::ptrdiff_t{image} * layer.rows + row];
      const float* in = layer.in + std::ptrdiff_t{image} * layer.columns;
      add_scaled<Lanes>(factor, in, layer.columns, to);
      layer.bias[row] += factor;
    }
  }
}

template <int Lanes>
void squeeze_excite_gradient(const Tensors& t, int threads) {
  using A = SqueezeExciteGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps dx = t.maps_out(A::kXGradient);
  const int images = x.shape.images;
  const int channels = x.shape.channels;
  const int squeezed_size = static_cast<int>(t.extent(A::kReduce, 0));
  const SqueezeExciteLayers layers{t.in(A::kReduce), nullptr,  t.in(A::kExpand),
                                   nullptr,          channels, squeezed_size};
  std::vector<float> dsqueezed(std::size_t(images) * squeezed_size);
  std::vector<float> dexcitations(std::size_t(images) * channels);
  parallel_for(threads, images, [&](IndexQueue& indices) {
    std::vector<float> dmeans(channels);
    indices.for_each([&](std::ptrdiff_t image) {
      squeeze_excite_image_gradient<Lanes>(
          layers, {dy.image(image), x.image(image), x.shape.plane(),
                   t.in(A::kSqueezed) + image * squeezed_size,
                   t.in(A::kExcitations) + image * channels, &dsqueezed[image * squeezed_size],
                   &dexcitations[image * channels], dmeans.data(), dx.image(image)});
    });
  });
  dense_gradient<Lanes>({dsqueezed.data(), squeezed_size, t.in(A::kMeans), channels, images,
                         t.out(A::kReduceGradient), t.out(A::kReduceBiasGradient)});
  dense_gradient<Lanes>({dexcitations.data(), channels, t.in(A::kSqueezed), squeezed_size, images,
                         t.out(A::kExpandGradient), t.out(A::kExpandBiasGradient)});
}

}  // namespace ghostnet::cpu::training
