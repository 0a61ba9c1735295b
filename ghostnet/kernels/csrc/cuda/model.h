// The layers of a fused GhostNet: their sizes and where their weights lie.
//
// Weights lie on the device, where the host cannot read them, so the shapes of the weights alone
// tell the network; `model_reader.h` has the grammar. Channels are zero-padded to whole quads, each
// half of a Ghost module for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "activation.h"

namespace ghostnet::cuda {

// One input of the operator.
struct Tensor {
  const void* data;
  const std::int64_t* shape;
  int rank;
};

// Weights [input channel][output channel]; one more row holds the bias.
struct Pointwise {
  int in;
  int out;
  const float* weights;

  GHOSTNET_HOST_DEVICE int quads() const { return out / 4; }
  GHOSTNET_DEVICE const float* row(int channel) const {
    return weights + static_cast<std::ptrdiff_t>(channel) * out;
  }
  GHOSTNET_DEVICE const float* bias() const { return row(in); }
};

// Weights [quad of channels][tap][4]; after the last tap of each quad comes its bias.
struct Depthwise {
  int channels;
  int kernel;
  const float* weights;

  GHOSTNET_DEVICE const Float4* filter(int quad) const {
    const std::ptrdiff_t size = kernel * kernel + 1;
    return reinterpret_cast<const Float4*>(weights) + quad * size;
  }
};

struct GhostModule {
  Pointwise primary;
  Depthwise cheap;

  GHOSTNET_HOST_DEVICE int half() const { return primary.out; }
  GHOSTNET_HOST_DEVICE int channels() const { return 2 * primary.out; }
};

struct SqueezeExcite {
  Pointwise reduce;
  Pointwise expand;
};

struct Shortcut {
  Depthwise depthwise;
  Pointwise pointwise;
};

struct Bottleneck {
  GhostModule ghost1;
  Depthwise downsample;
  SqueezeExcite squeeze_excite;
  GhostModule ghost2;
  Shortcut shortcut;

  int in() const { return ghost1.primary.in; }
  int expanded() const { return ghost1.channels(); }
  int out() const { return ghost2.channels(); }
  int stride() const { return downsample.kernel > 0 ? 2 : 1; }
  bool has_squeeze_excite() const { return squeeze_excite.reduce.out > 0; }
  bool has_shortcut() const { return shortcut.pointwise.out > 0; }
};

struct Head {
  Pointwise last;
  Pointwise head;
  Pointwise classifier;  // without outputs where the features are the output
};

struct Model {
  Activation activation;
  Pointwise stem;  // a pointwise convolution of the 27 taps of three colors
  std::vector<Bottleneck> blocks;
  Head head;
};

}  // namespace ghostnet::cuda
