// Batch norm with its activation, and a depthwise ConvUnit, as operators. Threads take one channel
// at a time, so that all passes over a channel but the first find it in the cache.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/activation.h"
#include "training/arguments.h"
#include "training/batch_norm.h"
#include "training/depthwise_convolution.h"
#include "training/depthwise_unit.h"
#include "training/feature_maps.h"
#include "training/operators.h"
#include "training/padded_plane.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

// The argument kSettings of every operator with a norm.
struct NormSettings {
  Activation activation;
  float epsilon;
  float momentum;  // weight of the batch's value in a moving one

  explicit NormSettings(const float* from)
      : activation(static_cast<Activation>(static_cast<int>(from[0]))),
        epsilon(from[1]),
        momentum(from[2]) {}
};

// The parameters of a norm in the forward pass, and its new statistics.
struct NormParameters {
  const float* gamma;
  const float* beta;
  const float* moving_mean;
  const float* moving_variance;
  float* statistics;
  float* next_mean;
  float* next_variance;

  // The norm of an operator with the arguments A; the first one of a Ghost module.
  template <class A>
  static NormParameters of(const Tensors& t) {
    return {t.in(A::kGamma),          t.in(A::kBeta),        t.in(A::kMovingMean),
            t.in(A::kMovingVariance), t.out(A::kStatistics), t.out(A::kNextMean),
            t.out(A::kNextVariance)};
  }

  // The second one.
  template <class A>
  static NormParameters of_cheap(const Tensors& t) {
    return {t.in(A::kCheapGamma),          t.in(A::kCheapBeta),        t.in(A::kCheapMovingMean),
            t.in(A::kCheapMovingVariance), t.out(A::kCheapStatistics), t.out(A::kCheapNextMean),
            t.out(A::kCheapNextVariance)};
  }
};

// Saves the statistics of channel `c` of a norm's input and updates the moving ones. The moving
// variance is the unbiased one.
template <int Lanes>
Affine update_statistics(const NormParameters& norm, const NormSettings& settings, std::ptrdiff_t c,
                         std::ptrdiff_t channels, const Moments& found) {
  const auto freedom = std::max<std::ptrdiff_t>(1, found.count - 1);
  const double unbiased = found.squares / freedom;
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

// The parameters of a norm in the backward pass.
struct SavedNorm {
  const float* gamma;
  const float* beta;
  const float* statistics;
  Activation activation;

  // The norm of an operator with the arguments A; the first one of a Ghost module.
  template <class A>
  static SavedNorm of(const Tensors& t) {
    return {t.in(A::kGamma), t.in(A::kBeta), t.in(A::kStatistics),
            NormSettings(t.in(A::kSettings)).activation};
  }

  // The second one.
  template <class A>
  static SavedNorm of_cheap(const Tensors& t) {
    return {t.in(A::kCheapGamma), t.in(A::kCheapBeta), t.in(A::kCheapStatistics),
            NormSettings(t.in(A::kSettings)).activation};
  }

  Norm channel(std::ptrdiff_t c, std::ptrdiff_t channels) const {
    return {{statistics[c], statistics[channels + c]}, gamma[c], beta[c], activation};
  }
};

template <int Lanes>
void batch_norm(const Tensors& t, int threads) {
  using A = BatchNormArguments;
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto norm = NormParameters::of<A>(t);
  const NormSettings settings(t.in(A::kSettings));
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t c) {
      const Affine affine =
          update_statistics<Lanes>(norm, settings, c, channels, moments<Lanes>(z.channel(c)));
      normalize<Lanes>(affine, settings.activation, z.channel(c), y.channel(c));
    });
  });
}

template <int Lanes>
void batch_norm_gradient(const Tensors& t, int threads) {
  using A = BatchNormGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps dz = t.maps_out(A::kZGradient);
  const auto saved = SavedNorm::of<A>(t);
  const int channels = z.shape.channels;
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    indices.for_each([&](std::ptrdiff_t c) {
      const Norm norm = saved.channel(c, channels);
      const NormGradient gradient =
          norm_gradient(norm, norm_gradient_sums<Lanes>(norm, z.channel(c), dy.channel(c)));
      normalize_gradient<Lanes>(norm, gradient, z.channel(c), dy.channel(c), dz.channel(c));
      t.out(A::kGammaGradient)[c] = gradient.gamma;
      t.out(A::kBetaGradient)[c] = gradient.beta;
    });
  });
}

// The shapes of x and y tell the stride.
template <int Lanes, int Kernel>
void depthwise_unit(const Tensors& t, int threads) {
  using A = DepthwiseArguments;
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto norm = NormParameters::of<A>(t);
  const NormSettings settings(t.in(A::kSettings));
  const int channels = x.shape.channels;
  const int stride = stride_between(x.shape, y.shape);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    PaddedPlane padded(x.shape.height, x.shape.width, Kernel / 2);
    indices.for_each([&](std::ptrdiff_t c) {
      const Channel out = y.channel(c);
      const Filter<Kernel> filter = filter_of<Kernel>(t.in(A::kFilter), c);
      Moments found;
      for (int image = 0; image < out.images; ++image) {
        padded.copy<Lanes>(x.channel(c).plane(image));
        convolve<Lanes, Kernel>(padded, filter, stride, out.plane(image));
        found += moments<Lanes>(out.plane(image), out.size);
      }
      const Affine affine = update_statistics<Lanes>(norm, settings, c, channels, found);
      normalize<Lanes>(affine, settings.activation, out, out);
    });
  });
}

template <int Lanes, int Kernel>
void depthwise_unit_gradient(const Tensors& t, int threads) {
  using A = DepthwiseGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps dx = t.maps_out(A::kXGradient);
  const auto saved = SavedNorm::of<A>(t);
  const int channels = x.shape.channels;
  const int stride = stride_between(x.shape, dy.shape);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    DepthwiseScratch scratch(x.shape, dy.shape, Kernel);
    const auto finish = [](int) {};
    indices.for_each([&](std::ptrdiff_t c) {
      const DepthwiseUnit<Kernel> unit{filter_of<Kernel>(t.in(A::kFilter), c), stride,
                                       saved.channel(c, channels)};
      float* const dfilter = t.out(A::kFilterGradient) + c * Kernel * Kernel;
      const auto set_input = [&](int image, PaddedPlane& plane) {
        plane.copy<Lanes>(x.channel(c).plane(image));
      };
      const NormGradient gradient = depthwise_backward<Lanes, Kernel>(
          unit, {dy.channel(c), dfilter, dx.channel(c)}, scratch, set_input, finish);
      t.out(A::kGammaGradient)[c] = gradient.gamma;
      t.out(A::kBetaGradient)[c] = gradient.beta;
    });
  });
}

template <int Lanes>
void depthwise(const Tensors& t, int threads) {
  const bool is_3x3 = t.extent(DepthwiseArguments::kFilter, 2) == 3;
  is_3x3 ? depthwise_unit<Lanes, 3>(t, threads) : depthwise_unit<Lanes, 5>(t, threads);
}

template <int Lanes>
void depthwise_gradient(const Tensors& t, int threads) {
  const bool is_3x3 = t.extent(DepthwiseGradientArguments::kFilter, 2) == 3;
  is_3x3 ? depthwise_unit_gradient<Lanes, 3>(t, threads)
         : depthwise_unit_gradient<Lanes, 5>(t, threads);
}

}  // namespace ghostnet::cpu::training
