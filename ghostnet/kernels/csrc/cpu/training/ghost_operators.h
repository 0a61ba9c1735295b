// A Ghost module without its pointwise convolution, as operators: norm and activation of the
// primary half, cheap operation, norm and activation of the cheap half. A thread takes one channel
// through all of them while it is in the cache.
#pragma once

#include "training/norm_operators.h"

namespace ghostnet::cpu::training {

// y += x
template <int Lanes>
void add(ConstChannel x, Channel y) {
  for (int image = 0; image < x.images; ++image) {
    const float* from = x.plane(image);
    float* to = y.plane(image);
    for_each_vector<Lanes>(x.size, [from, to](auto lanes, std::ptrdiff_t i) {
      store<lanes>(to + i, load<lanes>(to + i) + load<lanes>(from + i));
    });
  }
}

template <int Lanes, bool HasResidual>
void ghost(const Tensors& t, int threads) {
  using A = GhostArguments<HasResidual>;
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto primary = NormParameters::of<A>(t);
  const NormParameters cheap{t.in(A::kCheapGamma),       t.in(A::kCheapBeta),
                             t.in(A::kCheapMovingMean),  t.in(A::kCheapMovingVariance),
                             t.out(A::kCheapStatistics), t.out(A::kCheapNextMean),
                             t.out(A::kCheapNextVariance)};
  const NormSettings settings(t.in(A::kSettings));
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    DepthwiseScratch scratch(z.shape, 3);
    indices.for_each([&](std::ptrdiff_t c) {
      const Channel primary_half = y.channel(c);
      const Channel cheap_half = y.channel(channels + c);
      const Affine first = measure<Lanes>(primary, settings, c, channels, z.channel(c));
      normalize<Lanes>(z.channel(c), first, settings.activation, primary_half);
      depthwise_forward<Lanes, 3>(primary_half, filter_of<3>(t.in(A::kFilter), c), 1, scratch,
                                  cheap_half);
      const Affine second = measure<Lanes>(cheap, settings, c, channels, cheap_half);
      normalize<Lanes>(cheap_half, second, settings.activation, cheap_half);
      if constexpr (HasResidual) {
        add<Lanes>(t.maps_in(A::kResidual).channel(c), primary_half);
        add<Lanes>(t.maps_in(A::kResidual).channel(channels + c), cheap_half);
      }
    });
  });
}

template <int Lanes>
void ghost_gradient(const Tensors& t, int threads) {
  using A = GhostGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps dz = t.maps_out(A::kZGradient);
  const auto saved = SavedNorm::of<A>(t);
  const SavedNorm saved_cheap{t.in(A::kCheapGamma), t.in(A::kCheapBeta), t.in(A::kCheapStatistics),
                              saved.activation};
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    DepthwiseScratch scratch(z.shape, 3);
    const ChannelScratch primary_y(z.shape);
    const ChannelScratch cheap_z(z.shape);
    indices.for_each([&](std::ptrdiff_t c) {
      const Norm primary = saved.channel(c, channels);
      const DepthwiseUnit<3> cheap{filter_of<3>(t.in(A::kFilter), c), 1,
                                   saved_cheap.channel(c, channels)};
      const Channel gradient = dz.channel(c);
      normalize<Lanes>(z.channel(c), primary.affine(), primary.activation, primary_y.channel());
      const NormGradient of_cheap = depthwise_backward<Lanes, 3>(
          cheap,
          {primary_y.channel(), dy.channel(channels + c), t.out(A::kFilterGradient) + c * 9,
           gradient},
          scratch, cheap_z);
      add<Lanes>(dy.channel(c), gradient);
      const NormGradient of_primary = norm_gradient<Lanes>(primary, z.channel(c), gradient);
      normalize_gradient<Lanes>(primary, of_primary, z.channel(c), gradient, gradient);
      t.out(A::kGammaGradient)[c] = of_primary.gamma;
      t.out(A::kBetaGradient)[c] = of_primary.beta;
      t.out(A::kCheapGammaGradient)[c] = of_cheap.gamma;
      t.out(A::kCheapBetaGradient)[c] = of_cheap.beta;
    });
  });
}

}  // namespace ghostnet::cpu::training
