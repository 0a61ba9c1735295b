// A Ghost module without its pointwise convolution, as operators: norm and activation of the
// primary half, cheap operation, norm and activation of the cheap half. A thread takes one channel
// through all of them while it is in the cache.
#pragma once

#include <cstddef>

#include "training/arguments.h"
#include "training/batch_norm.h"
#include "training/depthwise_convolution.h"
#include "training/depthwise_unit.h"
#include "training/feature_maps.h"
#include "training/norm_operators.h"
#include "training/operators.h"
#include "training/padded_plane.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

template <int Lanes, bool HasResidual>
void ghost(const Tensors& t, int threads) {
  using A = GhostArguments<HasResidual>;
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto primary = NormParameters::of<A>(t);
  const auto cheap = NormParameters::of_cheap<A>(t);
  const NormSettings settings(t.in(A::kSettings));
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    PaddedPlane padded(z.shape.height, z.shape.width, 1);
    indices.for_each([&](std::ptrdiff_t c) {
      const Channel primary_half = y.channel(c);
      const Channel cheap_half = y.channel(channels + c);
      const Filter<3> filter = filter_of<3>(t.in(A::kFilter), c);
      const Affine first =
          update_statistics<Lanes>(primary, settings, c, channels, moments<Lanes>(z.channel(c)));
      Moments found;
      for (int image = 0; image < y.shape.images; ++image) {
        const NormPlane plane{z.channel(c).plane(image), primary_half.plane(image),
                              z.shape.plane()};
        normalize<Lanes>(first, settings.activation, plane);
        padded.copy<Lanes>(plane.y);
        convolve<Lanes, 3>(padded, filter, 1, cheap_half.plane(image));
        found += moments<Lanes>(cheap_half.plane(image), plane.size);
      }
      const Affine second = update_statistics<Lanes>(cheap, settings, c, channels, found);
      normalize<Lanes>(second, settings.activation, cheap_half, cheap_half);
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
  const auto saved_cheap = SavedNorm::of_cheap<A>(t);
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    DepthwiseScratch scratch(z.shape, z.shape, 3);
    indices.for_each([&](std::ptrdiff_t c) {
      const Norm primary = saved.channel(c, channels);
      const DepthwiseUnit<3> cheap{filter_of<3>(t.in(A::kFilter), c), 1,
                                   saved_cheap.channel(c, channels)};
      const Channel gradient = dz.channel(c);
      const auto set_input = [&](int image, PaddedPlane& plane) {
        with_normalized(primary.affine(), primary.activation, z.channel(c).plane(image),
                        [&](auto values) { plane.set<Lanes>(values); });
      };
      NormGradientSums sums;
      const auto finish = [&](int image) {
        float* const plane = gradient.plane(image);
        add<Lanes>(dy.channel(c).plane(image), gradient.size, plane);
        sums +=
            norm_gradient_sums<Lanes>(primary, {z.channel(c).plane(image), plane, gradient.size});
      };
      const NormGradient of_cheap = depthwise_backward<Lanes, 3>(
          cheap, {dy.channel(channels + c), t.out(A::kFilterGradient) + c * 9, gradient}, scratch,
          set_input, finish);
      const NormGradient of_primary = norm_gradient(primary, sums);
      normalize_gradient<Lanes>(primary, of_primary, z.channel(c), gradient, gradient);
      t.out(A::kGammaGradient)[c] = of_primary.gamma;
      t.out(A::kBetaGradient)[c] = of_primary.beta;
      t.out(A::kCheapGammaGradient)[c] = of_cheap.gamma;
      t.out(A::kCheapBetaGradient)[c] = of_cheap.beta;
    });
  });
}

}  // namespace ghostnet::cpu::training
