#include "network/model.h"

#include <stdexcept>

namespace ghostnet::cpu {
namespace {

constexpr std::int64_t kPlanHeader = 6;
constexpr std::int64_t kPlanBlock = 5;

// Input channels from which on splitting them for the matrix unit is worth while.
constexpr int kDeep = 80;

// Hands out consecutive weights.
class Reader {
 public:
  Reader(const float* weights, std::int64_t size) : next_(weights), left_(size) {}

  // `depth` of the layer whose blocks of output channels it should have.
  Pointwise pointwise(int in, int out, int depth) {
    const float* weights = take(std::int64_t{in} * out);
    const TiledWeights tiles{has_tiles() ? take(TiledWeights::size(out, in)) : nullptr};
    return {in, out, depth >= kDeep, weights, tiles, take(out)};
  }

  Depthwise depthwise(int channels, int kernel, int stride) {
    const float* weights = take(std::int64_t{channels} * kernel * kernel);
    return {kernel, stride, weights, take(channels)};
  }

  template <class Weights>
  DenseLayer<Weights> dense(int in, int out) {
    const float* taken = take(DenseLayer<Weights>::size(out, in));
    const auto* weights = reinterpret_cast<const Weights*>(taken);
    return {in, out, weights, take(out)};
  }

  GhostModule ghost_module(int in, int out) {
    const Pointwise primary = pointwise(in, out / 2, in);
    return {primary, depthwise(out / 2, 3, 1)};
  }

  Bottleneck bottleneck(int in, const std::int32_t* plan) {
    Bottleneck block{};
    block.in = in;
    block.expanded = plan[0];
    block.out = plan[1];
    block.kernel = plan[2];
    block.stride = plan[3];
    const int reduced = plan[4];
    if (block.expanded % 2 || block.out % 2 || (block.kernel != 3 && block.kernel != 5) ||
        (block.stride != 1 && block.stride != 2)) {
      throw std::invalid_argument("a block that is not a Ghost bottleneck");
    }
    block.ghost1 = ghost_module(in, block.expanded);
    if (block.stride > 1) block.downsample = depthwise(block.expanded, block.kernel, block.stride);
    if (reduced > 0) {
      block.squeeze_excite.reduce = dense<FullWeights>(block.expanded, reduced);
      block.squeeze_excite.expand = dense<FullWeights>(reduced, block.expanded);
    }
    block.ghost2 = ghost_module(block.expanded, block.out);
    if (block.has_shortcut()) {
      block.shortcut.depthwise = depthwise(in, block.kernel, block.stride);
      for (Pointwise& half : block.shortcut.halves) {
        half = pointwise(in, block.out / 2, block.expanded);
      }
    }
    return block;
  }

  std::int64_t left() const { return left_; }

 private:
  const float* take(std::int64_t count) {
    if (count < 0 || count > left_) throw std::invalid_argument("fewer weights than planned");
    const float* taken = next_;
    next_ += count;
    left_ -= count;
    return taken;
  }

  const float* next_;
  std::int64_t left_;
};

}  // namespace

Model read_model(const std::int32_t* plan, std::int64_t plan_size, const float* weights,
                 std::int64_t weights_size) {
  if (plan_size < kPlanHeader || plan_size != kPlanHeader + kPlanBlock * plan[2]) {
    throw std::invalid_argument("a plan of the wrong length");
  }
  Reader reader(weights, weights_size);
  Model model{};
  model.activation = static_cast<Activation>(plan[1]);
  model.stem.taps = reader.pointwise(Stem::kTaps, plan[0], Stem::kTaps);
  int channels = plan[0];
  for (int block = 0; block < plan[2]; ++block) {
    model.blocks.push_back(reader.bottleneck(channels, plan + kPlanHeader + kPlanBlock * block));
    channels = model.blocks.back().out;
  }
  model.head.last = reader.pointwise(channels, plan[3], channels);
  model.head.head = reader.dense<ShortWeights>(plan[3], plan[4]);
  if (plan[5] > 0) model.head.classifier = reader.dense<ShortWeights>(plan[4], plan[5]);
  if (reader.left() != 0) throw std::invalid_argument("more weights than planned");
  return model;
}

}  // namespace ghostnet::cpu
