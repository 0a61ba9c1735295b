// One channel of a depthwise ConvUnit: convolution, batch norm, activation; forward and backward.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include "training/batch_norm.h"
#include "training/depthwise_convolution.h"
#include "training/feature_maps.h"
#include "training/padded_plane.h"

namespace ghostnet::cpu::training {

// A channel of a batch that only one thread sees.
class ChannelScratch {
 public:
  explicit ChannelScratch(const Shape& shape)
      : memory_(new float[shape.plane() * shape.images]),
        channel_{memory_.get(), shape.plane(), shape.plane(), shape.images} {}

  const Channel& channel() const { return channel_; }

 private:
  std::unique_ptr<float[]> memory_;
  Channel channel_;
};

// What the backward pass over one channel of a convolution from x to z computes and does not keep.
struct DepthwiseScratch {
  DepthwiseScratch(const Shape& x_shape, const Shape& z_shape, int kernel)
      : x(x_shape.height, x_shape.width, kernel / 2),
        dz(z_shape.height, z_shape.width, kMaxLanes),
        z(z_shape) {}

  PaddedPlane x;
  PaddedPlane dz;
  ChannelScratch z;
};

template <int Kernel>
Filter<Kernel> filter_of(const float* filters, std::ptrdiff_t channel) {
  Filter<Kernel> filter;
  std::copy_n(filters + channel * filter.size(), filter.size(), filter.begin());
  return filter;
}

// One channel of the unit in the backward pass.
template <int Kernel>
struct DepthwiseUnit {
  Filter<Kernel> filter;
  int stride;
  Norm norm;
};

// The channels that the backward pass of a unit reads and writes besides its input.
struct DepthwiseUnitGradient {
  ConstChannel dy;
  float* dfilter;
  Channel dx;
};

// Computes the gradients of the unit. Computes the convolution's output z again, which is faster
// than to save and read it. set_input(image, plane) sets a padded plane to the unit's input, and
// finish(image) goes on with a plane of dx while it is in the cache.
template <int Lanes, int Kernel, class SetInput, class Finish>
NormGradient depthwise_backward(const DepthwiseUnit<Kernel>& unit, const DepthwiseUnitGradient& io,
                                DepthwiseScratch& scratch, SetInput set_input, Finish finish) {
  const Channel& z = scratch.z.channel();
  const auto norm_inputs = [&](int image) {
    return NormGradientInputs{z.plane(image), io.dy.plane(image), z.size};
  };
  NormGradientSums sums;
  for (int image = 0; image < z.images; ++image) {
    set_input(image, scratch.x);
    convolve<Lanes, Kernel>(scratch.x, unit.filter, unit.stride, z.plane(image));
    sums += norm_gradient_sums<Lanes>(unit.norm, norm_inputs(image));
  }
  const NormGradient gradient = norm_gradient(unit.norm, sums);
  std::array<double, Kernel * Kernel> taps = {};
  for (int image = 0; image < z.images; ++image) {
    with_normalized_gradient(unit.norm, gradient, norm_inputs(image),
                             [&](auto values) { scratch.dz.set<Lanes>(values); });
    set_input(image, scratch.x);
    add_filter_gradient<Lanes, Kernel>(scratch.x, scratch.dz, unit.stride, taps);
    convolve_gradient<Lanes, Kernel>(scratch.dz, unit.filter, unit.stride,
                                     {io.dx.plane(image), scratch.x.height(), scratch.x.width()});
    finish(image);
  }
  std::copy(taps.begin(), taps.end(), io.dfilter);
  return gradient;
}

}  // namespace ghostnet::cpu::training
