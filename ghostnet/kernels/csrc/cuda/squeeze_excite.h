// Squeeze-excite: from the sums of all channels, a gate in [0, 1] for each channel.
#pragma once

#include "dense.h"

namespace ghostnet::cuda {

inline void squeeze_excite(Stream& stream, const SqueezeExcite& layer, const ChannelSums& sums,
                           int images, float* squeezed, float* gates) {
  stream.launch(DenseKernel<float>{layer.reduce, Activation::kRelu, sums, images, squeezed,
                                   layer.reduce.out});
  stream.launch(DenseKernel<float>{layer.expand, Activation::kHardSigmoid,
                                   ChannelSums{squeezed, 1, layer.reduce.out, 1.0F}, images, gates,
                                   layer.expand.out});
}

}  // namespace ghostnet::cuda
