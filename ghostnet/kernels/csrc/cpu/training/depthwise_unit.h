// One channel of a depthwise ConvUnit: convolution, batch norm, activation; forward and backward.
#pragma once

#include <memory>

#include "training/batch_norm.h"
#include "training/padded_plane.h"

namespace ghostnet::cpu::training {

// The padded planes that one thread convolves, for planes of one size. Constructor and destructor
// are no templates and therefore not inline: the files for different instruction sets share them.
struct DepthwiseScratch {
  DepthwiseScratch(const Shape& shape, int kernel);
  ~DepthwiseScratch();

  PaddedPlane in;
  PaddedPlane gradient;
  PaddedPlane out;
};

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

template <int Kernel>
Filter<Kernel> filter_of(const float* filters, std::ptrdiff_t channel) {
  Filter<Kernel> filter;
  std::copy_n(filters + channel * filter.size(), filter.size(), filter.begin());
  return filter;
}

// The convolution alone.
template <int Lanes, int Kernel>
void depthwise_forward(ConstChannel x, const Filter<Kernel>& filter, int stride,
                       DepthwiseScratch& scratch, Channel z) {
  for (int image = 0; image < x.images; ++image) {
    scratch.in.set<Lanes>(x.plane(image), 1);
    convolve<Lanes, Kernel>(scratch.in, filter, stride, scratch.out);
    scratch.out.get<Lanes>(z.plane(image), stride);
  }
}

// One channel of the unit in the backward pass.
template <int Kernel>
struct DepthwiseUnit {
  Filter<Kernel> filter;
  int stride;
  Norm norm;
};

// The channels that the backward pass of a unit reads and writes.
struct DepthwiseUnitGradient {
  ConstChannel x;
  ConstChannel dy;
  float* dfilter;
  Channel dx;  // not one of the inputs
};

// Computes the gradients of the unit. Computes the convolution's output z again, which is faster
// than to save and read it.
template <int Lanes, int Kernel>
NormGradient depthwise_backward(const DepthwiseUnit<Kernel>& unit, const DepthwiseUnitGradient& io,
                                DepthwiseScratch& scratch, const ChannelScratch& z) {
  depthwise_forward<Lanes, Kernel>(io.x, unit.filter, unit.stride, scratch, z.channel());
  const NormGradient gradient = norm_gradient<Lanes>(unit.norm, z.channel(), io.dy);
  std::array<double, Kernel * Kernel> taps = {};
  for (int image = 0; image < io.x.images; ++image) {
    float* plane = z.channel().plane(image);
    normalize_gradient<Lanes>(unit.norm, gradient, {plane, io.dy.plane(image), plane, io.dy.size});
    scratch.gradient.set<Lanes>(plane, unit.stride);
    scratch.in.set<Lanes>(io.x.plane(image), 1);
    add_filter_gradient<Lanes, Kernel>(scratch.in, scratch.gradient, taps);
    convolve_gradient<Lanes, Kernel>(scratch.gradient, unit.filter, scratch.out);
    scratch.out.get<Lanes>(io.dx.plane(image), 1);
  }
  std::copy(taps.begin(), taps.end(), io.dfilter);
  return gradient;
}

}  // namespace ghostnet::cpu::training
