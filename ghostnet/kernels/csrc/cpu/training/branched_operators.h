// Depthwise units and Ghost modules of parallel branches, as operators. A thread takes one channel
// of all branches at a time.
#pragma once

#include <array>
#include <cstddef>

#include "ops/activation.h"
#include "simd/vector.h"
#include "training/arguments.h"
#include "training/batch_norm.h"
#include "training/branched_depthwise.h"
#include "training/branches.h"
#include "training/depthwise_convolution.h"
#include "training/feature_maps.h"
#include "training/norm_operators.h"
#include "training/operators.h"
#include "training/padded_plane.h"
#include "training/parallel_for.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

template <int Lanes, int Kernel>
void branched_depthwise_unit(const Tensors& t, int threads) {
  using A = DepthwiseArguments;
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto norm = NormParameters::of<A>(t);
  const NormSettings settings(t.in(A::kSettings));
  const int channels = x.shape.channels;
  const int branches = static_cast<int>(t.extent(A::kFilter, 0) / channels);
  const int stride = stride_between(x.shape, y.shape);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    PaddedPlane padded(x.shape.height, x.shape.width, Kernel / 2);
    indices.for_each([&](std::ptrdiff_t c) {
      const BranchIndex index{c, channels, branches};
      const auto filters = branch_filters<Lanes, Kernel>(t.in(A::kFilter), index, stride);
      const Channel out = y.channel(c);
      PerBranch<Moments> found;
      for (int image = 0; image < out.images; ++image) {
        padded.copy<Lanes>(x.channel(c).plane(image));
        add_branch_moments<Lanes, Kernel>(filters, padded, out, found);
      }
      const auto merged =
          merge<Lanes>(filters, update_branches<Lanes>(norm, settings, index, found));
      for (int image = 0; image < out.images; ++image) {
        padded.copy<Lanes>(x.channel(c).plane(image));
        convolve<Lanes, Kernel>(padded, merged.filter, stride, out.plane(image));
      }
      normalize<Lanes>({1, merged.shift}, settings.activation, out, out);
    });
  });
}

template <int Lanes, int Kernel>
void branched_depthwise_unit_gradient(const Tensors& t, int threads) {
  using A = DepthwiseGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const FeatureMaps dx = t.maps_out(A::kXGradient);
  const auto saved = SavedNorm::of<A>(t);
  const AffineGradients affine{t.out(A::kGammaGradient), t.out(A::kBetaGradient)};
  const int channels = x.shape.channels;
  const int branches = static_cast<int>(t.extent(A::kFilter, 0) / channels);
  const int stride = stride_between(x.shape, dy.shape);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    BranchedDepthwiseScratch scratch(x.shape, dy.shape, Kernel);
    indices.for_each([&](std::ptrdiff_t c) {
      const BranchIndex index{c, channels, branches};
      const BranchedDepthwise<Kernel> unit{
          branch_filters<Lanes, Kernel>(t.in(A::kFilter), index, stride),
          saved_branches<Lanes>(saved, index)};
      affine.set(
          index,
          branched_depthwise_backward<Lanes, Kernel>(
              unit, dy.channel(c), dx.channel(c), scratch,
              [&](int b) { return t.out(A::kFilterGradient) + index(b) * Kernel * Kernel; },
              [&](int image, PaddedPlane& plane) { plane.copy<Lanes>(x.channel(c).plane(image)); },
              [](int) {}));
    });
  });
}

template <int Lanes>
void branched_depthwise(const Tensors& t, int threads) {
  const bool is_3x3 = t.extent(DepthwiseArguments::kFilter, 2) == 3;
  is_3x3 ? branched_depthwise_unit<Lanes, 3>(t, threads)
         : branched_depthwise_unit<Lanes, 5>(t, threads);
}

template <int Lanes>
void branched_depthwise_gradient(const Tensors& t, int threads) {
  const bool is_3x3 = t.extent(DepthwiseGradientArguments::kFilter, 2) == 3;
  is_3x3 ? branched_depthwise_unit_gradient<Lanes, 3>(t, threads)
         : branched_depthwise_unit_gradient<Lanes, 5>(t, threads);
}

// The outputs of the pointwise convolutions for one image.
using PrimaryPlanes = std::array<const float*, kPrimaryBranches>;

inline PrimaryPlanes primary_planes(ConstFeatureMaps z, const BranchIndex& index, int image) {
  PrimaryPlanes planes;
  for (int b = 0; b < kPrimaryBranches; ++b) planes[b] = z.channel(index(b)).plane(image);
  return planes;
}

// The sum of the norms of the pointwise convolutions.
struct PrimarySum {
  std::array<float, kPrimaryBranches> scales = {};
  float shift = 0;

  // A vector of the sum, from the i-th value on.
  template <int Lanes>
  Floats<Lanes> at(const PrimaryPlanes& z, std::ptrdiff_t i) const {
    Floats<Lanes> sum = load<Lanes>(z[0] + i) * scales[0] + shift;
#pragma GCC unroll 4
    for (int b = 1; b < kPrimaryBranches; ++b) sum += load<Lanes>(z[b] + i) * scales[b];
    return sum;
  }

  // Calls body(values), where values(lanes, i) gives a vector of the activation of the sum.
  template <class Body>
  void with_values(Activation activation, const PrimaryPlanes& z, Body body) const {
    with_activation(activation, [&](auto act) {
      body([&](auto lanes, std::ptrdiff_t i) { return activate<lanes>(act, at<lanes>(z, i)); });
    });
  }
};

template <int Lanes>
PrimarySum primary_sum(const PerBranch<Affine>& affine) {
  PrimarySum sum;
  for (int b = 0; b < kPrimaryBranches; ++b) {
    sum.scales[b] = affine[b].scale;
    sum.shift += affine[b].shift;
  }
  return sum;
}

template <int Lanes, bool HasResidual>
void branched_ghost(const Tensors& t, int threads) {
  using A = GhostArguments<HasResidual>;
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps y = t.maps_out(A::kY);
  const auto primary = NormParameters::of<A>(t);
  const auto cheap = NormParameters::of_cheap<A>(t);
  const NormSettings settings(t.in(A::kSettings));
  const int channels = y.shape.channels / 2;
  const int branches = static_cast<int>(t.extent(A::kFilter, 0) / channels);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    PaddedPlane padded(z.shape.height, z.shape.width, 1);
    indices.for_each([&](std::ptrdiff_t c) {
      const Channel primary_half = y.channel(c);
      const Channel cheap_half = y.channel(channels + c);
      const BranchIndex of_primary{c, channels, kPrimaryBranches};
      const BranchIndex of_cheap{c, channels, branches};
      const auto filters = branch_filters<Lanes, 3>(t.in(A::kFilter), of_cheap, 1);
      PerBranch<Moments> found;
      for (int b = 0; b < kPrimaryBranches; ++b)
        found[b] = moments<Lanes>(z.channel(of_primary(b)));
      const PrimarySum sum =
          primary_sum<Lanes>(update_branches<Lanes>(primary, settings, of_primary, found));
      found = {};
      for (int image = 0; image < y.shape.images; ++image) {
        float* const plane = primary_half.plane(image);
        sum.with_values(
            settings.activation, primary_planes(z, of_primary, image), [&](auto values) {
              for_each_vector<Lanes>(primary_half.size, [&](auto lanes, std::ptrdiff_t i) {
                store<lanes>(plane + i, values(lanes, i));
              });
            });
        padded.copy<Lanes>(plane);
        add_branch_moments<Lanes, 3>(filters, padded, cheap_half, found);
      }
      const auto merged =
          merge<Lanes>(filters, update_branches<Lanes>(cheap, settings, of_cheap, found));
      for (int image = 0; image < y.shape.images; ++image) {
        padded.copy<Lanes>(primary_half.plane(image));
        convolve<Lanes, 3>(padded, merged.filter, 1, cheap_half.plane(image));
      }
      normalize<Lanes>({1, merged.shift}, settings.activation, cheap_half, cheap_half);
      if constexpr (HasResidual) {
        add<Lanes>(t.maps_in(A::kResidual).channel(c), primary_half);
        add<Lanes>(t.maps_in(A::kResidual).channel(channels + c), cheap_half);
      }
    });
  });
}

// Of one channel, the gradient before the activation summed over some pixels, and the sums of its
// products with the deviations of each branch.
struct PrimarySums {
  double g = 0;
  std::array<double, kPrimaryBranches> gz = {};
  std::ptrdiff_t count = 0;
};

// Turns the gradient to a plane of the primary half into that before the activation, and sums it.
template <int Lanes>
void add_primary_sums(const PerBranch<Norm>& norms, const PrimarySum& sum, const PrimaryPlanes& z,
                      std::ptrdiff_t size, float* gradient, PrimarySums& sums) {
  with_activation(norms[0].activation, [&](auto act) {
    const auto found =
        sum_terms<Lanes, 1 + kPrimaryBranches>(size, [&](auto lanes, std::ptrdiff_t i) {
          const Floats<lanes> g =
              activation_gradient<lanes>(act, sum.at<lanes>(z, i), load<lanes>(gradient + i));
          store<lanes>(gradient + i, g);
          Terms<lanes, 1 + kPrimaryBranches> terms = {g};
#pragma GCC unroll 4
          for (int b = 0; b < kPrimaryBranches; ++b) {
            terms[1 + b] = g * (load<lanes>(z[b] + i) - norms[b].statistics.mean);
          }
          return terms;
        });
    sums.g += found[0];
    for (int b = 0; b < kPrimaryBranches; ++b) sums.gz[b] += found[1 + b];
    sums.count += size;
  });
}

template <int Lanes>
void branched_ghost_gradient(const Tensors& t, int threads) {
  using A = GhostGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps z = t.maps_in(A::kZ);
  const FeatureMaps dz = t.maps_out(A::kZGradient);
  const auto saved = SavedNorm::of<A>(t);
  const auto saved_cheap = SavedNorm::of_cheap<A>(t);
  const AffineGradients affine{t.out(A::kGammaGradient), t.out(A::kBetaGradient)};
  const AffineGradients cheap_affine{t.out(A::kCheapGammaGradient), t.out(A::kCheapBetaGradient)};
  const int channels = dy.shape.channels / 2;
  const int branches = static_cast<int>(t.extent(A::kFilter, 0) / channels);
  parallel_for(threads, channels, [&](IndexQueue& indices) {
    const Shape half{z.shape.images, channels, z.shape.height, z.shape.width};
    BranchedDepthwiseScratch scratch(half, half, 3);
    indices.for_each([&](std::ptrdiff_t c) {
      const BranchIndex of_primary{c, channels, kPrimaryBranches};
      const BranchIndex of_cheap{c, channels, branches};
      const auto norms = saved_branches<Lanes>(saved, of_primary);
      const auto sum = primary_sum<Lanes>(affine_of<Lanes>(norms, kPrimaryBranches));
      const Channel gradient = dz.channel(c);  // of the primary half, later of the first branch
      PrimarySums sums;
      const BranchedDepthwise<3> cheap{branch_filters<Lanes, 3>(t.in(A::kFilter), of_cheap, 1),
                                       saved_branches<Lanes>(saved_cheap, of_cheap)};
      const auto of_filters = branched_depthwise_backward<Lanes, 3>(
          cheap, dy.channel(channels + c), gradient, scratch,
          [&](int b) { return t.out(A::kFilterGradient) + of_cheap(b) * 9; },
          [&](int image, PaddedPlane& plane) {
            sum.with_values(saved.activation, primary_planes(z, of_primary, image),
                            [&](auto values) { plane.set<Lanes>(values); });
          },
          [&](int image) {
            float* const plane = gradient.plane(image);
            add<Lanes>(dy.channel(c).plane(image), gradient.size, plane);
            add_primary_sums<Lanes>(norms, sum, primary_planes(z, of_primary, image), gradient.size,
                                    plane, sums);
          });
      cheap_affine.set(of_cheap, of_filters);
      PerBranch<NormGradient> of_branches = {};
      for (int b = 0; b < kPrimaryBranches; ++b) {
        of_branches[b] = norm_gradient(norms[b], {sums.g, sums.gz[b], sums.count});
      }
      affine.set(of_primary, of_branches);
      for (int b = kPrimaryBranches - 1; b >= 0; --b) {
        Norm linear = norms[b];
        linear.activation = Activation::kNone;
        normalize_gradient<Lanes>(linear, of_branches[b], z.channel(of_primary(b)), gradient,
                                  dz.channel(of_primary(b)));
      }
    });
  });
}

}  // namespace ghostnet::cpu::training
