// The layers of a fused GhostNet: their sizes and where their weights lie.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/dense.h"
#include "ops/depthwise.h"
#include "ops/pointwise.h"

namespace ghostnet::cpu {

// 3×3 convolution with stride 2 of the three colours; a pointwise convolution of its 27 taps.
struct Stem {
  static constexpr int kTaps = 27;
  Pointwise taps;
};

struct GhostModule {
  Pointwise primary;
  Depthwise cheap;
};

struct SqueezeExcite {
  Dense reduce;
  Dense expand;
};

// Two halves of output channels, as the Ghost module that it is added to has them.
struct Shortcut {
  Depthwise depthwise;
  Pointwise halves[2];
};

struct Bottleneck {
  int in;
  int expanded;
  int out;
  int kernel;
  int stride;
  GhostModule ghost1;
  Depthwise downsample;  // where stride > 1
  SqueezeExcite squeeze_excite;
  GhostModule ghost2;
  Shortcut shortcut;

  bool has_squeeze_excite() const { return squeeze_excite.reduce.out > 0; }
  bool has_shortcut() const { return stride > 1 || in != out; }
};

struct Head {
  Pointwise last;
  ShortDense head;
  ShortDense classifier;  // without outputs where the features are wanted

  const ShortDense& output() const { return classifier.out > 0 ? classifier : head; }
};

struct Model {
  Activation activation;
  Stem stem;
  std::vector<Bottleneck> blocks;
  Head head;

  // Of the map that block `index`, or past the last the head, reads.
  int channels(std::size_t index) const {
    return index < blocks.size() ? blocks[index].in : head.last.in;
  }
};

// Reads a model from its plan and its packed weights, which must outlive it.
//
// The plan is [stem channels, activation, blocks, last channels, head channels, classes], then for
// each block [expanded, out, kernel, stride, squeeze-excite channels]. The weights are those of
// the layers in the order of the structures above, each followed by its bias. Throws
// std::invalid_argument where plan and weights do not fit together.
Model read_model(const std::int32_t* plan, std::int64_t plan_size, const float* weights,
                 std::int64_t weights_size);

}  // namespace ghostnet::cpu
