// The layers of a fused network: their sizes and where their weights lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/dense.h"
#include "ops/depthwise.h"
#include "ops/pointwise.h"
#include "ops/squeeze_excite.h"
#include "ops/stem.h"

namespace ghostnet::cpu {

// The output is that of the primary convolution followed by that of the cheap operation or, in
// RepGhost, that of the cheap operation alone.
struct GhostModule {
  Pointwise primary;
  Depthwise cheap;
  int out;

  // The output channel that the cheap operation computes first.
  int first_cheap() const { return out - primary.out; }
  bool is_concatenated() const { return first_cheap() > 0; }
  int parts() const { return is_concatenated() ? 2 : 1; }
};

// `parts` are the output channels of the layers whose outputs the Ghost module concatenates: two
// halves, or all.
struct Shortcut {
  Depthwise depthwise;
  Pointwise parts[2];
};

// The layers of a block of MobileNetV2.
struct InvertedResidual {
  Pointwise expansion;  // without outputs where the input is not expanded
  Depthwise depthwise;
  Pointwise projection;
};

enum class BlockKind { kGhostBottleneck = 0, kInvertedResidual = 1, kRepGhostBottleneck = 2 };

// A block of any kind, with the layers of its kind.
struct Bottleneck {
  BlockKind kind;
  int in;
  int expanded;
  int out;
  int kernel;
  int stride;
  GhostModule ghost1;
  Attention attention;   // of the first Ghost module
  Depthwise downsample;  // only with stride 2
  SqueezeExcite squeeze_excite;
  GhostModule ghost2;
  Shortcut shortcut;
  InvertedResidual inverted_residual;

  bool has_attention() const { return attention.upsampling != Upsampling::kNone; }
  bool has_squeeze_excite() const { return squeeze_excite.reduce.out > 0; }
  bool has_residual() const { return stride == 1 && in == out; }
  bool has_shortcut() const { return kind != BlockKind::kInvertedResidual && !has_residual(); }
};

struct Head {
  Pointwise last;
  Dense head;        // without outputs where the means of the last map are the features
  Dense classifier;  // without outputs where the features are the output

  int features() const { return head.out > 0 ? head.out : last.out; }
  int outputs() const { return classifier.out > 0 ? classifier.out : features(); }
  const Dense& first_dense() const { return head.out > 0 ? head : classifier; }
};

// Of the weights and inputs of the pointwise convolutions that gain from it, and with kBfloat16 of
// the weights of the dense layers; or, in a quantized network, of the weights and inputs of all
// layers but the classifier. All else is in floats.
enum class Precision { kFloat32 = 0, kInt8 = 1, kQuantized = 2, kBfloat16 = 3 };

struct Model {
  Precision precision;
  Activation activation;
  Stem stem;
  std::vector<Bottleneck> blocks;
  Head head;

  // Channels of the map that block `index` reads, or, past the last block, the head.
  int channels(std::size_t index) const {
    return index < blocks.size() ? blocks[index].in : head.last.in;
  }

  // Whether images of a size leave every attention two rows and columns to average.
  bool accepts(int height, int width) const;
};

// The arguments of read_model(). Plan and weights must outlive the model.
struct PackedModel {
  const std::int32_t* plan;
  std::int64_t plan_size;
  const float* weights;
  std::int64_t weights_size;
};

// The weights are those of the layers in the order of the structures above, each followed by its
// bias. Throws std::invalid_argument where plan and weights do not fit together.
Model read_model(const PackedModel& packed);

}  // namespace ghostnet::cpu
