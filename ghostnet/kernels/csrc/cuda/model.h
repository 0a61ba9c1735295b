// The layers of a fused GhostNet: their sizes and where their weights lie.
//
// Weights lie on the device, where the host cannot read them, so a network is known by the shapes of
// its weights alone; `model_reader.h` has the grammar. Channels are padded to whole quads with zeros, in
// each half of a Ghost module for itself.
#pragma once

#include <cstdint>
#include <vector>

#include "activation.h"

namespace ghostnet::cuda {

// One tensor among the inputs of the operator.
struct Tensor {
  const void* data;
  const std::int64_t* shape;
  int rank;
};

// Weights (in + 1, out), the last row the bias.
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

// Weights (quads of channels, kernel² + 1, 4), the last of each quad the bias.
struct Depthwise {
  int channels;
  int kernel;
  const float* weights;

  GHOSTNET_DEVICE const Quad* filter(int quad) const {
    const std::ptrdiff_t size = kernel * kernel + 1;
    return reinterpret_cast<const Quad*>(weights) + quad * size;
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
  Pointwise classifier;  // without outputs where the features are wanted
};

struct Model {
  Activation activation;
  Pointwise stem;  // of the 27 taps of a 3×3 convolution of three colours
  std::vector<Bottleneck> blocks;
  Head head;
};

}  // namespace ghostnet::cuda
