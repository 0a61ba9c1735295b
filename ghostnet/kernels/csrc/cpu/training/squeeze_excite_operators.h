// Squeeze-excite and its gradients, as operators. Threads take whole images: one stays in the
// cache from the means to the scaling.
#pragma once

#include "training/activation_gradient.h"
#include "training/operators.h"
#include "training/vector_loop.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

// Σ a · b
template <int Lanes>
float dot(const float* a, const float* b, std::ptrdiff_t size) {
  return sums_over<Lanes, 1>(size, [=](auto lanes, std::ptrdiff_t i) {
    return Terms<lanes, 1>{load<lanes>(a + i) * load<lanes>(b + i)};
  })[0];
}

// to += factor · from
template <int Lanes>
void add_scaled(float factor, const float* from, std::ptrdiff_t size, float* to) {
  for_packs<Lanes>(size, [=](auto lanes, std::ptrdiff_t i) {
    store<lanes>(to + i, load<lanes>(to + i) + factor * load<lanes>(from + i));
  });
}

inline float gate_of(float excitation) { return hard_sigmoid<1>(Floats<1>{excitation})[0]; }

// The two dense layers: `reduce` is [reduced][channels], `expand` [channels][reduced].
struct SqueezeExciteLayers {
  const float* reduce;
  const float* reduce_bias;
  const float* expand;
  const float* expand_bias;
  int channels;
  int reduced;
};

// One image. `means` and `excitations`, what the gates are computed from, have a value for each
// channel, `squeezed` one for each reduced channel.
template <int Lanes>
void squeeze_excite_image(const SqueezeExciteLayers& layers, const float* x, std::ptrdiff_t plane,
                          float* means, float* squeezed, float* excitations, float* y) {
  for (int c = 0; c < layers.channels; ++c) {
    const float* from = x + c * plane;
    means[c] = sums_over<Lanes, 1>(plane, [from](auto lanes, std::ptrdiff_t i) {
                 return Terms<lanes, 1>{load<lanes>(from + i)};
               })[0] / plane;
  }
  for (int r = 0; r < layers.reduced; ++r) {
    const float* row = layers.reduce + std::ptrdiff_t{r} * layers.channels;
    squeezed[r] =
        std::max(0.0F, layers.reduce_bias[r] + dot<Lanes>(row, means, layers.channels));
  }
  for (int c = 0; c < layers.channels; ++c) {
    const float* row = layers.expand + std::ptrdiff_t{c} * layers.reduced;
    excitations[c] = layers.expand_bias[c] + dot<Lanes>(row, squeezed, layers.reduced);
    const float gate = gate_of(excitations[c]);
    for_packs<Lanes>(plane, [from = x + c * plane, to = y + c * plane, gate](
                                auto lanes, std::ptrdiff_t i) {
      store<lanes>(to + i, gate * load<lanes>(from + i));
    });
  }
}

// x; weights and bias of the reduction, of the expansion → y, means, squeezed, excitations.
template <int Lanes>
void squeeze_excite(const Tensors& t, int threads) {
  const ConstMaps x = t.maps_in(0);
  const int channels = x.shape.channels;
  const int reduced = static_cast<int>(t.extent(1, 0));
  const SqueezeExciteLayers layers{t.in(1), t.in(2), t.in(3), t.in(4), channels, reduced};
  share(threads, x.shape.images, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t image) {
      squeeze_excite_image<Lanes>(layers, x.data + image * x.shape.image(), x.shape.plane(),
                                  t.out(6) + image * channels, t.out(7) + image * reduced,
                                  t.out(8) + image * channels, t.out(5) + image * x.shape.image());
    });
  });
}

// One image: the gradients to the input and to what each dense layer gives before its activation.
template <int Lanes>
void squeeze_excite_image_gradient(const SqueezeExciteLayers& layers, const float* dy,
                                   const float* x, std::ptrdiff_t plane, const float* squeezed,
                                   const float* excitations, float* dsqueezed,
                                   float* dexcitations, float* dmeans, float* dx) {
  std::fill_n(dsqueezed, layers.reduced, 0.0F);
  for (int c = 0; c < layers.channels; ++c) {
    const float excitation = excitations[c];
    const bool inside = excitation > -3 && excitation < 3;
    dexcitations[c] = inside ? dot<Lanes>(dy + c * plane, x + c * plane, plane) / 6 : 0;
    add_scaled<Lanes>(dexcitations[c], layers.expand + std::ptrdiff_t{c} * layers.reduced,
                      layers.reduced, dsqueezed);
  }
  std::fill_n(dmeans, layers.channels, 0.0F);
  for (int r = 0; r < layers.reduced; ++r) {
    if (squeezed[r] <= 0) dsqueezed[r] = 0;
    add_scaled<Lanes>(dsqueezed[r], layers.reduce + std::ptrdiff_t{r} * layers.channels,
                      layers.channels, dmeans);
  }
  for (int c = 0; c < layers.channels; ++c) {
    const float gate = gate_of(excitations[c]);
    const float from_mean = dmeans[c] / plane;
    for_packs<Lanes>(plane, [from = dy + c * plane, to = dx + c * plane, gate, from_mean](
                                auto lanes, std::ptrdiff_t i) {
      store<lanes>(to + i, gate * load<lanes>(from + i) + from_mean);
    });
  }
}

// The gradients of a dense layer: weights[row] = Σ_images gradient[row] · in, bias the same of 1.
template <int Lanes>
void dense_gradient(const float* gradient, int rows, const float* in, int columns, int images,
                    int row, float* weights, float* bias) {
  float* to = weights + std::ptrdiff_t{row} * columns;
  std::fill_n(to, columns, 0.0F);
  bias[row] = 0;
  for (int image = 0; image < images; ++image) {
    const float factor = gradient[std::ptrdiff_t{image} * rows + row];
    add_scaled<Lanes>(factor, in + std::ptrdiff_t{image} * columns, columns, to);
    bias[row] += factor;
  }
}

// dy, x; weights of the reduction, of the expansion; means, squeezed, excitations
// → dx; dweights and dbias of the reduction, of the expansion.
template <int Lanes>
void squeeze_excite_gradient(const Tensors& t, int threads) {
  const ConstMaps dy = t.maps_in(0);
  const ConstMaps x = t.maps_in(1);
  const auto [images, channels, height, width] = x.shape;
  const int reduced = static_cast<int>(t.extent(2, 0));
  const SqueezeExciteLayers layers{t.in(2), nullptr, t.in(3), nullptr, channels, reduced};
  std::vector<float> dsqueezed(std::size_t(images) * reduced);
  std::vector<float> dexcitations(std::size_t(images) * channels);
  share(threads, images, [&, channels = channels](Tasks& tasks) {
    std::vector<float> dmeans(channels);
    tasks.each([&](std::ptrdiff_t image) {
      const std::ptrdiff_t at = image * x.shape.image();
      squeeze_excite_image_gradient<Lanes>(
          layers, dy.data + at, x.data + at, x.shape.plane(), t.in(5) + image * reduced,
          t.in(6) + image * channels, &dsqueezed[image * reduced], &dexcitations[image * channels],
          dmeans.data(), t.out(7) + at);
    });
  });
  for (int r = 0; r < reduced; ++r) {
    dense_gradient<Lanes>(dsqueezed.data(), reduced, t.in(4), channels, images, r, t.out(8),
                          t.out(9));
  }
  for (int c = 0; c < channels; ++c) {
    dense_gradient<Lanes>(dexcitations.data(), channels, t.in(5), reduced, images, c, t.out(10),
                          t.out(11));
  }
}

}  // namespace ghostnet::cpu::training
