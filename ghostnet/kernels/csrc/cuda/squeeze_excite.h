// Squeeze-excite: from the sums of all channels, a gate in [0, 1] for each.
#pragma once

#include "dense.h"

namespace ghostnet::cuda {

inline void squeeze_excite(Stream& stream, const SqueezeExcite& layer, const Totals& totals,
                           int images, float* reduced, float* gates) {
  stream.launch(DenseKernel<float>{
      layer.reduce, Activation::kRelu, totals, images, reduced, layer.reduce.out});
  stream.launch(DenseKernel<float>{layer.expand, Activation::kHardSigmoid,
                                   Totals{reduced, 1, layer.reduce.out, 1.0F}, images, gates,
                                   layer.expand.out});
}

}  // namespace ghostnet::cuda
