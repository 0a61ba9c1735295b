// One channel of a depthwise unit of several branches. Their sum is a single convolution, whose
// filter is the sum of the scaled filters.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "ops/activation.h"
#include "simd/vector.h"
#include "training/batch_norm.h"
#include "training/branches.h"
#include "training/depthwise_convolution.h"
#include "training/depthwise_unit.h"
#include "training/feature_maps.h"
#include "training/padded_plane.h"

namespace ghostnet::cpu::training {

// The filters of one channel.
template <int Kernel>
struct BranchFilters {
  PerBranch<Filter<Kernel>> filters;
  int branches;
  int stride;
};

template <int Lanes, int Kernel>
BranchFilters<Kernel> branch_filters(const float* all, const BranchIndex& index, int stride) {
  BranchFilters<Kernel> unit{{}, index.branches, stride};
  for (int b = 0; b < index.branches; ++b) unit.filters[b] = filter_of<Kernel>(all, index(b));
  return unit;
}

// The convolution that the branches sum up to before the activation.
template <int Kernel>
struct MergedFilter {
  Filter<Kernel> filter = {};
  float shift = 0;
};

template <int Lanes, int Kernel>
MergedFilter<Kernel> merge(const BranchFilters<Kernel>& unit, const PerBranch<Affine>& affine) {
  MergedFilter<Kernel> merged;
  for (int b = 0; b < unit.branches; ++b) {
    merged.shift += affine[b].shift;
    for (int tap = 0; tap < Kernel * Kernel; ++tap) {
      merged.filter[tap] += affine[b].scale * unit.filters[b][tap];
    }
  }
  return merged;
}

// Adds the moments of the output of each branch for one image; `z` is a plane for such outputs.
template <int Lanes, int Kernel>
void add_branch_moments(const BranchFilters<Kernel>& unit, const PaddedPlane& x, const Channel& z,
                        PerBranch<Moments>& found) {
  for (int b = 0; b < unit.branches; ++b) {
    convolve<Lanes, Kernel>(x, unit.filters[b], unit.stride, z.plane(0));
    found[b] += moments<Lanes>(z.plane(0), z.size);
  }
}

// What the backward pass over one channel computes and does not keep.
struct BranchedDepthwiseScratch : DepthwiseScratch {
  BranchedDepthwiseScratch(const Shape& x_shape, const Shape& z_shape, int kernel)
      : DepthwiseScratch(x_shape, z_shape, kernel),
        branch_z({1, 1, z_shape.height, z_shape.width}),
        branch_dx({1, 1, x_shape.height, x_shape.width}) {}

  ChannelScratch branch_z;
  ChannelScratch branch_dx;
};

// One channel of the unit in the backward pass.
template <int Kernel>
struct BranchedDepthwise {
  BranchFilters<Kernel> filters;
  PerBranch<Norm> norms;
};

// For each tap of a filter, a sum over pixels.
template <int Kernel>
using TapSums = std::array<double, Kernel * Kernel>;

// The gradients of the norms, from the gradient g before the activation: the sum of g over the
// pixels, and the sums of g times the pixel under each tap. A single value does not deviate from
// its mean, where the difference of these sums would leave a rounding error for the norm to
// enlarge.
template <int Lanes, int Kernel>
PerBranch<NormGradient> branch_gradients(const BranchedDepthwise<Kernel>& unit, double g,
                                         const TapSums<Kernel>& gx, std::ptrdiff_t count) {
  PerBranch<NormGradient> gradients = {};
  for (int b = 0; b < unit.filters.branches; ++b) {
    double gz = -g * unit.norms[b].statistics.mean;
    for (int tap = 0; tap < Kernel * Kernel; ++tap) {
      gz += gx[tap] * unit.filters.filters[b][tap];
    }
    gradients[b] = norm_gradient(unit.norms[b], {g, count > 1 ? gz : 0, count});
  }
  return gradients;
}

// Sets `g` to the gradient before the activation, from the output of the merged convolution, which
// it holds; returns its sum.
template <int Lanes>
float activation_gradient_plane(Activation activation, float shift, const float* dy,
                                std::ptrdiff_t size, float* g) {
  float total = 0;
  with_activation(activation, [&](auto act) {
    total = sum_vectors<Lanes>(size, [&](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> value =
          activation_gradient<lanes>(act, load<lanes>(g + i) + shift, load<lanes>(dy + i));
      store<lanes>(g + i, value);
      return value;
    });
  });
  return total;
}

// Like depthwise_backward(). The gradient of the filter of branch b goes to filter_gradient(b).
template <int Lanes, int Kernel, class FilterGradient, class SetInput, class Finish>
PerBranch<NormGradient> branched_depthwise_backward(const BranchedDepthwise<Kernel>& unit,
                                                    ConstChannel dy, Channel dx,
                                                    BranchedDepthwiseScratch& scratch,
                                                    FilterGradient filter_gradient,
                                                    SetInput set_input, Finish finish) {
  const auto& [filters, branches, stride] = unit.filters;
  const auto merged = merge<Lanes>(unit.filters, affine_of<Lanes>(unit.norms, branches));
  const Channel& g = scratch.z.channel();
  double total = 0;
  TapSums<Kernel> gx = {};
  for (int image = 0; image < g.images; ++image) {
    float* const plane = g.plane(image);
    set_input(image, scratch.x);
    convolve<Lanes, Kernel>(scratch.x, merged.filter, stride, plane);
    total += activation_gradient_plane<Lanes>(unit.norms[0].activation, merged.shift,
                                              dy.plane(image), g.size, plane);
    scratch.dz.copy<Lanes>(plane);
    add_filter_gradient<Lanes, Kernel>(scratch.x, scratch.dz, stride, gx);
  }
  const auto gradients = branch_gradients<Lanes>(unit, total, gx, g.size * g.images);
  PerBranch<TapSums<Kernel>> taps = {};
  float* const z = scratch.branch_z.channel().data;
  float* const more = scratch.branch_dx.channel().data;
  for (int image = 0; image < g.images; ++image) {
    const float* const plane = g.plane(image);
    set_input(image, scratch.x);
    for (int b = 0; b < branches; ++b) {
      const NormGradient& of = gradients[b];
      convolve<Lanes, Kernel>(scratch.x, filters[b], stride, z);
      scratch.dz.set<Lanes>([&](auto lanes, std::ptrdiff_t i) {
        return load<lanes>(plane + i) * of.g_factor + load<lanes>(z + i) * of.z_factor +
               of.constant;
      });
      add_filter_gradient<Lanes, Kernel>(scratch.x, scratch.dz, stride, taps[b]);
      float* const to = b == 0 ? dx.plane(image) : more;
      convolve_gradient<Lanes, Kernel>(scratch.dz, filters[b], stride,
                                       {to, scratch.x.height(), scratch.x.width()});
      if (b > 0) add<Lanes>(more, dx.size, dx.plane(image));
    }
    finish(image);
  }
  for (int b = 0; b < branches; ++b) {
    std::copy(taps[b].begin(), taps[b].end(), filter_gradient(b));
  }
  return gradients;
}

}  // namespace ghostnet::cpu::training
