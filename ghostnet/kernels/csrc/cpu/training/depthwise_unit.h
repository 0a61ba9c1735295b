// One channel of a depthwise ConvUnit: convolution, batch norm, activation; forward and backward.
#pragma once

#include "batch_norm.h"
#include "frame.h"

namespace ghostnet::cpu::training {

// What one thread needs to convolve planes of one size.
struct Frames {
  Frame in;
  Frame gradient;
  Frame out;

  Frames(int height, int width, int kernel)
      : in(height, width, kernel / 2), gradient(in), out(in) {}
};

template <int Kernel>
Filter<Kernel> filter_of(const float* filters, std::ptrdiff_t channel) {
  Filter<Kernel> filter;
  std::copy_n(filters + channel * filter.size(), filter.size(), filter.begin());
  return filter;
}

// The convolution alone.
template <int Lanes, int Kernel>
void depthwise_forward(ConstChannel x, const Filter<Kernel>& filter, int stride, Frames& frames,
                       Channel z) {
  for (int image = 0; image < x.images; ++image) {
    frames.in.set(x.plane(image), 1);
    convolve<Lanes, Kernel>(frames.in, filter, stride, frames.out);
    frames.out.get(z.plane(image), stride);
  }
}

// The gradients of the whole unit. `x_plane(image)` gives the input; dz is room for a plane of the
// output; dx must not be one of the inputs.
template <int Lanes, int Kernel, class Input>
NormGradient depthwise_unit_backward(Input x_plane, ConstChannel z, ConstChannel dy,
                                     const Filter<Kernel>& filter, const Norm& norm, int stride,
                                     Frames& frames, float* dz, float* dfilter, Channel dx) {
  const NormGradient gradient = norm_gradient<Lanes>(norm, z, dy);
  std::array<double, Kernel * Kernel> taps = {};
  for (int image = 0; image < z.images; ++image) {
    denormalise<Lanes>(norm, gradient, z.plane(image), dy.plane(image), z.size, dz);
    frames.gradient.set(dz, stride);
    frames.in.set(x_plane(image), 1);
    add_filter_gradient<Lanes, Kernel>(frames.in, frames.gradient, taps);
    convolve_back<Lanes, Kernel>(frames.gradient, filter, frames.out);
    frames.out.get(dx.plane(image), 1);
  }
  std::copy(taps.begin(), taps.end(), dfilter);
  return gradient;
}

}  // namespace ghostnet::cpu::training
