// A Ghost module without its pointwise convolution: norm and activation of the primary half, cheap
// operation, norm and activation of that, all of one channel while it is in the cache.
#pragma once

#include "training/norm_operators.h"

namespace ghostnet::cpu::training {

template <int Lanes>
void add(ConstChannel x, Channel y) {
  for (int image = 0; image < x.images; ++image) {
    const float* from = x.plane(image);
    float* to = y.plane(image);
    for_packs<Lanes>(x.size, [from, to](auto lanes, std::ptrdiff_t i) {
      store<lanes>(to + i, load<lanes>(to + i) + load<lanes>(from + i));
    });
  }
}

// z; gamma, beta, moving mean and variance of the primary norm; filter; the same of the cheap one;
// settings; perhaps a residual, which is added to y
// → y; statistics, next mean and variance of the primary norm, of the cheap one.
template <int Lanes>
void ghost(const Tensors& t, int threads) {
  constexpr int kInputs = 11;
  constexpr int kOutputs = 7;
  const bool has_residual = t.count() > kInputs + kOutputs;
  const int out = kInputs + has_residual;
  const ConstMaps z = t.maps_in(0);
  const Maps y = t.maps_out(out);
  const NormParameters primary{t.in(1),        t.in(2),        t.in(3),       t.in(4),
                               t.out(out + 1), t.out(out + 2), t.out(out + 3)};
  const NormParameters cheap{t.in(6),        t.in(7),        t.in(8),       t.in(9),
                             t.out(out + 4), t.out(out + 5), t.out(out + 6)};
  const NormSettings settings(t.in(10));
  const int channels = z.shape.channels;
  share(threads, channels, [&](Tasks& tasks) {
    Frames frames(z.shape, 3);
    tasks.each([&](std::ptrdiff_t c) {
      const Channel own = y.channel(c);
      const Channel other = y.channel(channels + c);
      const Affine first = measure<Lanes>(primary, settings, c, channels, z.channel(c));
      normalise<Lanes>(z.channel(c), first, settings.activation, own);
      depthwise_forward<Lanes, 3>(own, filter_of<3>(t.in(5), c), 1, frames, other);
      const Affine second = measure<Lanes>(cheap, settings, c, channels, other);
      normalise<Lanes>(other, second, settings.activation, other);
      if (has_residual) {
        add<Lanes>(t.maps_in(kInputs).channel(c), own);
        add<Lanes>(t.maps_in(kInputs).channel(channels + c), other);
      }
    });
  });
}

// dy, z; gamma, beta, statistics of the primary norm; filter; the same of the cheap one; settings
// → dz; dgamma, dbeta of the primary norm; dfilter; dgamma, dbeta of the cheap one.
template <int Lanes>
void ghost_gradient(const Tensors& t, int threads) {
  const ConstMaps dy = t.maps_in(0);
  const ConstMaps z = t.maps_in(1);
  const Maps dz = t.maps_out(10);
  const NormSettings settings(t.in(9));
  const int channels = z.shape.channels;
  share(threads, channels, [&](Tasks& tasks) {
    Frames frames(z.shape, 3);
    const Scratch primary_y(z.shape);
    const Scratch cheap_z(z.shape);
    tasks.each([&](std::ptrdiff_t c) {
      const Norm primary = saved_norm(t.in(2), t.in(3), t.in(4), settings.activation, c, channels);
      const Norm cheap = saved_norm(t.in(6), t.in(7), t.in(8), settings.activation, c, channels);
      const Channel gradient = dz.channel(c);
      normalise<Lanes>(z.channel(c), primary.affine(), primary.activation, primary_y.channel());
      const NormGradient of_cheap = depthwise_backward<Lanes, 3>(
          primary_y.channel(), filter_of<3>(t.in(5), c), cheap, dy.channel(channels + c), 1, frames,
          cheap_z, t.out(13) + c * 9, gradient);
      add<Lanes>(dy.channel(c), gradient);
      const NormGradient of_primary = norm_gradient<Lanes>(primary, z.channel(c), gradient);
      denormalise<Lanes>(primary, of_primary, z.channel(c), gradient, gradient);
      t.out(11)[c] = of_primary.gamma;
      t.out(12)[c] = of_primary.beta;
      t.out(14)[c] = of_cheap.gamma;
      t.out(15)[c] = of_cheap.beta;
    });
  });
}

}  // namespace ghostnet::cpu::training
