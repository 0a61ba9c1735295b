// Prints where the bias of each layer of a network lies among its weights: a line for each layer
// with its name, the first float of its bias, and the length of that. The arguments are the number
// of weights and the numbers of the plan.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "network/model.h"

namespace {

using ghostnet::cpu::Attention;
using ghostnet::cpu::Bottleneck;
using ghostnet::cpu::Depthwise;
using ghostnet::cpu::GhostModule;
using ghostnet::cpu::Model;

class Layout {
 public:
  explicit Layout(const float* weights) : weights_(weights) {}

  void print(const Model& model) const {
    line("stem", model.stem.is_quantized() ? model.stem.bias : model.stem.taps.bias,
         model.stem.taps.out);
    for (std::size_t i = 0; i < model.blocks.size(); ++i) {
      block("blocks." + std::to_string(i), model.blocks[i]);
    }
    full("last", model.head.last);
    full("head", model.head.head);
    full("classifier", model.head.classifier);
  }

 private:
  void block(const std::string& name, const Bottleneck& block) const {
    if (block.kind == ghostnet::cpu::BlockKind::kInvertedResidual) {
      full(name + ".expansion", block.inverted_residual.expansion);
      depthwise(name + ".depthwise", block.inverted_residual.depthwise, block.expanded);
      full(name + ".projection", block.inverted_residual.projection);
      return;
    }
    module(name + ".ghost1", block.ghost1);
    if (block.has_attention()) attention(name + ".ghost1.attention", block.attention);
    if (block.stride > 1) depthwise(name + ".downsample", block.downsample, block.expanded);
    full(name + ".squeeze_excite.reduce", block.squeeze_excite.reduce);
    full(name + ".squeeze_excite.expand", block.squeeze_excite.expand);
    module(name + ".ghost2", block.ghost2);
    if (!block.has_shortcut()) return;
    depthwise(name + ".shortcut.depthwise", block.shortcut.depthwise, block.in);
    for (const auto& part : block.shortcut.parts) full(name + ".shortcut.pointwise", part);
  }

  void module(const std::string& name, const GhostModule& module) const {
    full(name + ".primary", module.primary);
    depthwise(name + ".cheap", module.cheap, module.primary.out);
  }

  void attention(const std::string& name, const Attention& layers) const {
    for (const auto& part : layers.parts) full(name + ".pointwise", part);
    const int channels = 2 * layers.parts[0].out;
    line(name + ".horizontal", layers.horizontal.bias, channels);
    line(name + ".vertical", layers.vertical.bias, channels);
  }

  void depthwise(const std::string& name, const Depthwise& layer, int channels) const {
    line(name, layer.bias, channels);
  }

  // A layer over all channels; one that the network does not have is without outputs.
  template <class Layer>
  void full(const std::string& name, const Layer& layer) const {
    if (layer.out > 0) line(name, layer.bias, layer.out);
  }

  void line(const std::string& name, const float* bias, int length) const {
    std::printf("%s %td %d\n", name.c_str(), bias - weights_, length);
  }

  const float* weights_;
};

}  // namespace

int main(int count, char** arguments) {
  const std::vector<float> weights(std::strtoull(arguments[1], nullptr, 10));
  std::vector<std::int32_t> plan;
  for (int i = 2; i < count; ++i) plan.push_back(std::atoi(arguments[i]));
  const Model model =
      ghostnet::cpu::read_model({plan.data(), static_cast<std::int64_t>(plan.size()),
                                 weights.data(), static_cast<std::int64_t>(weights.size())});
  Layout(weights.data()).print(model);
}
