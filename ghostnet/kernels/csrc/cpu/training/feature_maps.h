// The layout of feature maps in MindSpore: (images, channels, height, width), row-major, without
// padding.
#pragma once

#include <cstddef>

#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

// One channel of a batch: for each image a plane of `size` floats, `stride` floats apart.
template <class Float>
struct ChannelOf {
  Float* data;
  std::ptrdiff_t stride;
  std::ptrdiff_t size;
  int images;

  Float* plane(int image) const { return data + image * stride; }
  operator ChannelOf<const Float>() const { return {data, stride, size, images}; }
};

using Channel = ChannelOf<float>;
using ConstChannel = ChannelOf<const float>;

struct Shape {
  int images;
  int channels;
  int height;
  int width;

  std::ptrdiff_t plane() const { return std::ptrdiff_t{height} * width; }
  std::ptrdiff_t image() const { return plane() * channels; }
};

// The stride of the convolution between two shapes, 1 or 2. On maps of one pixel both strides
// compute the same; the answer is then 1.
inline int stride_between(const Shape& in, const Shape& out) {
  return in.height == out.height && in.width == out.width ? 1 : 2;
}

template <class Float>
struct FeatureMapsOf {
  Float* data;
  Shape shape;

  ChannelOf<Float> channel(std::ptrdiff_t index) const {
    return {data + index * shape.plane(), shape.image(), shape.plane(), shape.images};
  }
  Float* image(std::ptrdiff_t index) const { return data + index * shape.image(); }
};

using FeatureMaps = FeatureMapsOf<float>;
using ConstFeatureMaps = FeatureMapsOf<const float>;

// y += x
template <int Lanes>
void add(ConstChannel x, Channel y) {
  for (int image = 0; image < x.images; ++image) {
    add<Lanes>(x.plane(image), x.size, y.plane(image));
  }
}

}  // namespace ghostnet::cpu::training
