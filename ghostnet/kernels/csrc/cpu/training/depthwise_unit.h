// One channel of a depthwise ConvUnit: convolution, batch norm, activation; forward and backward.
#pragma once

#include <memory>

#include "training/batch_norm.h"
#include "training/padded_plane.h"

namespace ghostnet::cpu::training {

// What one thread needs to convolve planes of one size.
struct Frames {
  Frame in;
  Frame gradient;
  Frame out;

  Frames(const Shape& shape, int kernel)
      : in(shape.height, shape.width, kernel / 2), gradient(in), out(in) {}
};

// A channel of a batch that only one thread sees.
class Scratch {
 public:
  explicit Scratch(const Shape& shape)
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
void depthwise_forward(ConstChannel x, const Filter<Kernel>& filter, int stride, Frames& frames,
                       Channel z) {
  for (int image = 0; image < x.images; ++image) {
    frames.in.set(x.plane(image), 1);
    convolve<Lanes, Kernel>(frames.in, filter, stride, frames.out);
    frames.out.get(z.plane(image), stride);
  }
}

// The gradients of the whole unit. The convolution's output z is computed again, which is faster
// than to keep it. dx must not be one of the inputs.
template <int Lanes, int Kernel>
NormGradient depthwise_backward(ConstChannel x, const Filter<Kernel>& filter, const Norm& norm,
                                ConstChannel dy, int stride, Frames& frames, const Scratch& z,
                                float* dfilter, Channel dx) {
  depthwise_forward<Lanes, Kernel>(x, filter, stride, frames, z.channel());
  const NormGradient gradient = norm_gradient<Lanes>(norm, z.channel(), dy);
  std::array<double, Kernel * Kernel> taps = {};
  for (int image = 0; image < x.images; ++image) {
    float* plane = z.channel().plane(image);
    denormalise<Lanes>(norm, gradient, plane, dy.plane(image), dy.size, plane);
    frames.gradient.set(plane, stride);
    frames.in.set(x.plane(image), 1);
    add_filter_gradient<Lanes, Kernel>(frames.in, frames.gradient, taps);
    convolve_back<Lanes, Kernel>(frames.gradient, filter, frames.out);
    frames.out.get(dx.plane(image), 1);
  }
  std::copy(taps.begin(), taps.end(), dfilter);
  return gradient;
}

}  // namespace ghostnet::cpu::training
