// A depthwise convolution at one pixel, four channels at once.
#pragma once

#include "model.h"

namespace ghostnet::cuda {

// Bias and Σ over the taps of `filter`. read(row, column) gives a quad of the input, zero outside
// the picture; (row, column) is the input's pixel under the first tap.
template <int kKernel, class Read>
GHOSTNET_DEVICE Quad depthwise(const Quad* filter, int row, int column, const Read& read) {
  Quad sum = filter[kKernel * kKernel];
  GHOSTNET_UNROLL
  for (int tap = 0; tap < kKernel * kKernel; ++tap) {
    sum = sum + filter[tap] * read(row + tap / kKernel, column + tap % kKernel);
  }
  return sum;
}

// The same for a layer whose kernel is 3 or 5, at pixel (row, column) of its output.
template <class Read>
GHOSTNET_DEVICE Quad depthwise(const Depthwise& layer, int stride, int quad, int row, int column,
                               const Read& read) {
  const int pad = layer.kernel / 2;
  const int top = row * stride - pad;
  const int left = column * stride - pad;
  return layer.kernel == 3 ? depthwise<3>(layer.filter(quad), top, left, read)
                           : depthwise<5>(layer.filter(quad), top, left, read);
}

}  // namespace ghostnet::cuda
