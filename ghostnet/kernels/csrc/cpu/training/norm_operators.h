// Batch norm with its activation, and a depthwise ConvUnit, as operators. Threads take one channel
// at a time, so that all passes over a channel but the first find it in the cache.
#pragma once

#include "training/depthwise_unit.h"
#include "training/operators.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

// The last input of every operator with a norm: [activation, epsilon, momentum].
struct NormSettings {
  Activation activation;
  float epsilon;
  float momentum;  // share of the new value in a moving one

  explicit NormSettings(const float* from)
      : activation(static_cast<Activation>(static_cast<int>(from[0]))),
        epsilon(from[1]),
        momentum(from[2]) {}
};

// The parameters of a norm, and in the forward pass what becomes of the moving statistics.
struct NormParameters {
  const float* gamma;
  const float* beta;
  const float* moving_mean;
  const float* moving_variance;
  float* statistics;  // [mean, inverse deviation][channels]
  float* next_mean;
  float* next_variance;
};

// Measures channel `c` of a batch norm's input and moves the moving statistics, whose variance is
// the unbiased one.
template <int Lanes>
Affine measure(const NormParameters& norm, const NormSettings& settings, std::ptrdiff_t c,
               std::ptrdiff_t channels, ConstChannel z) {
  const Moments found = moments<Lanes>(z);
  const auto freedom = std::max<std::ptrdiff_t>(1, found.count - 1);
  const double unbiased = found.variance * found.count / freedom;
  const auto move = [&](float from, double to) {
    return static_cast<float>(from + settings.momentum * (to - from));
  };
  norm.next_mean[c] = move(norm.moving_mean[c], found.mean);
  norm.next_variance[c] = move(norm.moving_variance[c], unbiased);
  const Statistics statistics = found.statistics(settings.epsilon);
  norm.statistics[c] = statistics.mean;
  norm.statistics[channels + c] = statistics.inverse_deviation;
  return statistics.affine(norm.gamma[c], norm.beta[c]);
}

inline Norm saved_norm(const float* gamma, const float* beta, const float* statistics,
                       Activation activation, std::ptrdiff_t c, std::ptrdiff_t channels) {
  return {{statistics[c], statistics[channels + c]}, gamma[c], beta[c], activation};
}

// z, gamma, beta, moving mean, moving variance, settings → y, statistics, next mean and variance.
template <int Lanes>
void batch_norm(const Tensors& t, int threads) {
  const ConstMaps z = t.maps_in(0);
  const Maps y = t.maps_out(6);
  const NormParameters norm{t.in(1), t.in(2), t.in(3), t.in(4), t.out(7), t.out(8), t.out(9)};
  const NormSettings settings(t.in(5));
  const int channels = z.shape.channels;
  share(threads, channels, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t c) {
      const Affine affine = measure<Lanes>(norm, settings, c, channels, z.channel(c));
      normalise<Lanes>(z.channel(c), affine, settings.activation, y.channel(c));
    });
  });
}

// dy, z, gamma, beta, statistics, settings → dz, dgamma, dbeta.
template <int Lanes>
void batch_norm_gradient(const Tensors& t, int threads) {
  const ConstMaps dy = t.maps_in(0);
  const ConstMaps z = t.maps_in(1);
  const Maps dz = t.maps_out(6);
  const NormSettings settings(t.in(5));
  const int channels = z.shape.channels;
  share(threads, channels, [&](Tasks& tasks) {
    tasks.each([&](std::ptrdiff_t c) {
      const Norm norm =
          saved_norm(t.in(2), t.in(3), t.in(4), settings.activation, c, channels);
      const NormGradient gradient = norm_gradient<Lanes>(norm, z.channel(c), dy.channel(c));
      denormalise<Lanes>(norm, gradient, z.channel(c), dy.channel(c), dz.channel(c));
      t.out(7)[c] = gradient.gamma;
      t.out(8)[c] = gradient.beta;
    });
  });
}

// x, filter, gamma, beta, moving mean, moving variance, settings
// → y, statistics, next mean, next variance. The shape of y says whether the stride is 2.
template <int Lanes, int Kernel>
void depthwise_unit(const Tensors& t, int threads) {
  const ConstMaps x = t.maps_in(0);
  const Maps y = t.maps_out(7);
  const NormParameters norm{t.in(2), t.in(3), t.in(4), t.in(5), t.out(8), t.out(9), t.out(10)};
  const NormSettings settings(t.in(6));
  const int channels = x.shape.channels;
  const int stride = stride_between(x.shape, y.shape);
  share(threads, channels, [&](Tasks& tasks) {
    Frames frames(x.shape, Kernel);
    tasks.each([&](std::ptrdiff_t c) {
      const Channel out = y.channel(c);
      depthwise_forward<Lanes, Kernel>(x.channel(c), filter_of<Kernel>(t.in(1), c), stride, frames,
                                       out);
      const Affine affine = measure<Lanes>(norm, settings, c, channels, out);
      normalise<Lanes>(out, affine, settings.activation, out);
    });
  });
}

// dy, x, filter, gamma, beta, statistics, settings → dx, dfilter, dgamma, dbeta.
template <int Lanes, int Kernel>
void depthwise_unit_gradient(const Tensors& t, int threads) {
  const ConstMaps dy = t.maps_in(0);
  const ConstMaps x = t.maps_in(1);
  const Maps dx = t.maps_out(7);
  const NormSettings settings(t.in(6));
  const int channels = x.shape.channels;
  const int stride = stride_between(x.shape, dy.shape);
  share(threads, channels, [&](Tasks& tasks) {
    Frames frames(x.shape, Kernel);
    const Scratch z(dy.shape);
    tasks.each([&](std::ptrdiff_t c) {
      const Norm norm = saved_norm(t.in(3), t.in(4), t.in(5), settings.activation, c, channels);
      const NormGradient gradient = depthwise_backward<Lanes, Kernel>(
          x.channel(c), filter_of<Kernel>(t.in(2), c), norm, dy.channel(c), stride, frames, z,
          t.out(8) + c * Kernel * Kernel, dx.channel(c));
      t.out(9)[c] = gradient.gamma;
      t.out(10)[c] = gradient.beta;
    });
  });
}

}  // namespace ghostnet::cpu::training
