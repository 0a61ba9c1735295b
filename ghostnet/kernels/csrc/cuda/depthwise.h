// Depthwise convolution at one pixel, four channels at once.
#pragma once

#include "model.h"

namespace ghostnet::cuda {

// The bias plus the sum over all taps. read(row, column) gives a quad of the input, or zero outside
// the image; (row, column) is the input pixel under the first tap.
template <int kKernel, class Read>
GHOSTNET_DEVICE Float4 depthwise(const Float4* filter, int row, int column, const Read& read) {
  Float4 sum = filter[kKernel * kKernel];
  GHOSTNET_UNROLL
  for (int tap = 0; tap < kKernel * kKernel; ++tap) {
    sum = sum + filter[tap] * read(row + tap / kKernel, column + tap % kKernel);
  }
  return sum;
}

// The same at a pixel of the output, for a layer whose kernel is 3 or 5.
template <class Read>
GHOSTNET_DEVICE Float4 depthwise(const Depthwise& layer, int stride, int quad,
                                 const Position& output, const Read& read) {
  const int pad = layer.kernel / 2;
  const int top = output.row * stride - pad;
  const int left = output.column * stride - pad;
  return layer.kernel == 3 ? depthwise<3>(layer.filter(quad), top, left, read)
                           : depthwise<5>(layer.filter(quad), top, left, read);
}

}  // namespace ghostnet::cuda
