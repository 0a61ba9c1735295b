// From the operator's inputs to the layers of a network.
#pragma once

#include <stdexcept>
#include <vector>

#include "model.h"

namespace ghostnet::cuda {

// Ranks of the weights.
constexpr int kMatrix = 2;  // of a pointwise layer
constexpr int kFilter = 3;  // of a depthwise layer

constexpr int kStemTaps = 27;

// Parses the operator's weights by this grammar, in which […] is optional:
//   network    = stem, bottleneck…, last, head, [classifier]
//   bottleneck = ghost, [downsample], [reduce, expand], ghost, [depthwise, pointwise]
//   ghost      = pointwise, depthwise
// Only a Ghost module begins with a matrix followed by a filter, so ranks tell what comes next.
class ModelReader {
 public:
  explicit ModelReader(const std::vector<Tensor>& tensors)
      : next_(tensors.data()), end_(tensors.data() + tensors.size()) {}

  Model model(Activation activation) {
    Model model{};
    model.activation = activation;
    model.stem = pointwise(kStemTaps);
    int channels = model.stem.out;
    while (at_ghost_module()) {
      model.blocks.push_back(bottleneck(channels));
      channels = model.blocks.back().out();
    }
    model.head.last = pointwise(channels);
    model.head.head = pointwise(model.head.last.out);
    if (next_ != end_) model.head.classifier = pointwise(model.head.head.out);
    require(next_ == end_, "more weights than a GhostNet has");
    return model;
  }

 private:
  static void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  }

  int rank(int ahead) const { return end_ - next_ > ahead ? next_[ahead].rank : 0; }
  bool at_ghost_module() const { return rank(0) == kMatrix && rank(1) == kFilter; }

  const Tensor& take(int rank) {
    require(next_ != end_ && next_->rank == rank, "weights of another rank than expected");
    return *next_++;
  }

  Pointwise pointwise(int in) {
    const Tensor& tensor = take(kMatrix);
    const int out = static_cast<int>(tensor.shape[1]);
    require(tensor.shape[0] == in + 1 && out > 0 && out % 4 == 0, "a matrix of the wrong shape");
    return {in, out, static_cast<const float*>(tensor.data)};
  }

  Depthwise depthwise(int channels) {
    const Tensor& tensor = take(kFilter);
    const int kernel = tensor.shape[1] == 10 ? 3 : 5;
    require(tensor.shape[0] * 4 == channels && tensor.shape[1] == kernel * kernel + 1 &&
                tensor.shape[2] == 4,
            "a filter of the wrong shape");
    return {channels, kernel, static_cast<const float*>(tensor.data)};
  }

  GhostModule ghost_module(int in) {
    const Pointwise primary = pointwise(in);
    const Depthwise cheap = depthwise(primary.out);
    require(cheap.kernel == 3, "a cheap operation that is not 3×3");
    return {primary, cheap};
  }

  Bottleneck bottleneck(int in) {
    Bottleneck block{};
    block.ghost1 = ghost_module(in);
    if (rank(0) == kFilter) block.downsample = depthwise(block.expanded());
    if (!at_ghost_module()) {
      block.squeeze_excite.reduce = pointwise(block.expanded());
      block.squeeze_excite.expand = pointwise(block.squeeze_excite.reduce.out);
      require(block.squeeze_excite.expand.out == block.expanded(), "gates for other channels");
    }
    block.ghost2 = ghost_module(block.expanded());
    if (rank(0) == kFilter) {
      block.shortcut.depthwise = depthwise(in);
      block.shortcut.pointwise = pointwise(in);
    }
    const int added = block.has_shortcut() ? block.shortcut.pointwise.out : in;
    require(added == block.out() && (block.stride() == 1 || block.has_shortcut()),
            "a shortcut for another map");
    return block;
  }

  const Tensor* next_;
  const Tensor* end_;
};

// Throws std::invalid_argument where the tensors are not those of a GhostNet.
inline Model read_model(Activation activation, const std::vector<Tensor>& tensors) {
  return ModelReader(tensors).model(activation);
}

}  // namespace ghostnet::cuda
