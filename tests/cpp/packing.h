// Packs the plan and the weights of a reference network for the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "network/model.h"
#include "network/plan.h"
#include "reference.h"

extern "C" {
std::int64_t ghostnet_pointwise_size(int out, int in);
void ghostnet_pack_pointwise(const float* weights, int out, int in, float* packed);
std::int64_t ghostnet_int8_size(int out, int in);
int ghostnet_is_faster_in_int8(int out, int in);
void ghostnet_pack_int8(const float* weights, int out, int in, const float* low, const float* high,
                        float* packed, float* bias);
std::int64_t ghostnet_dense_size(int format, int out, int in);
void ghostnet_pack_dense(int format, const float* weights, int out, int in, float* packed);
}

namespace reference {

using ghostnet::cpu::Precision;
using ghostnet::cpu::WeightFormat;

class Packer {
 public:
  // Bytes need the ranges of the pixels, so the network must have run.
  explicit Packer(Precision precision) : precision_(precision) {}

  std::vector<float> weights;

  void network(const Network& net) {
    pointwise(net.stem);
    for (const Bottleneck& block : net.bottlenecks) bottleneck(block);
    for (const InvertedResidual& block : net.inverted_residuals) inverted_residual(block);
    pointwise(net.last);
    for (const Convolution& layer : net.head) dense(WeightFormat::kFloat24, layer);
    for (const Convolution& layer : net.classifier) dense(WeightFormat::kFloat24, layer);
  }

 private:
  void append(const std::vector<float>& values) {
    weights.insert(weights.end(), values.begin(), values.end());
  }

  // Packs output channels first, …, first + count - 1 of a convolution.
  void pointwise(const Convolution& layer, int first, int count) {
    const int in = layer.in * layer.kernel * layer.kernel;
    const float* const from = layer.weights.data() + std::size_t(first) * in;
    std::vector<float> bias(layer.bias.begin() + first, layer.bias.begin() + first + count);
    std::vector<float> packed;
    if (precision_ == Precision::kInt8 && ghostnet_is_faster_in_int8(count, in)) {
      packed.resize(ghostnet_int8_size(count, in));
      ghostnet_pack_int8(from, count, in, layer.low.data(), layer.high.data(), packed.data(),
                         bias.data());
    } else {
      packed.resize(ghostnet_pointwise_size(count, in));
      ghostnet_pack_pointwise(from, count, in, packed.data());
    }
    append(packed);
    append(bias);
  }

  void pointwise(const Convolution& layer) { pointwise(layer, 0, layer.out); }

  void depthwise(const Convolution& layer) {
    append(layer.weights);
    append(layer.bias);
  }

  void dense(WeightFormat format, const Convolution& layer) {
    const int number = static_cast<int>(format);
    std::vector<float> packed(ghostnet_dense_size(number, layer.out, layer.in));
    ghostnet_pack_dense(number, layer.weights.data(), layer.out, layer.in, packed.data());
    append(packed);
    append(layer.bias);
  }

  void ghost_module(const GhostModule& module) {
    pointwise(module.primary);
    depthwise(module.cheap);
  }

  // A convolution whose output channels meet those of the layers of a Ghost module.
  void parts(const Convolution& layer, const GhostModule& module) {
    const int size = layer.out / module.parts;
    for (int part = 0; part < module.parts; ++part) pointwise(layer, part * size, size);
  }

  void attention(const Attention& layers, const GhostModule& module) {
    parts(layers.pointwise, module);
    depthwise(layers.horizontal);
    depthwise(layers.vertical);
  }

  void bottleneck(const Bottleneck& block) {
    ghost_module(block.ghost1);
    for (const Attention& gates : block.attention) attention(gates, block.ghost1);
    for (const Convolution& layer : block.downsample) depthwise(layer);
    for (const Convolution& layer : block.squeeze_excite) dense(WeightFormat::kFloat32, layer);
    ghost_module(block.ghost2);
    if (!block.shortcut.empty()) {
      depthwise(block.shortcut[0]);
      parts(block.shortcut[1], block.ghost2);
    }
  }

  void inverted_residual(const InvertedResidual& block) {
    for (const Convolution& layer : block.expansion) pointwise(layer);
    depthwise(block.depthwise);
    pointwise(block.projection);
  }

  const Precision precision_;
};

inline std::vector<std::int32_t> plan_of(const Table& table, Precision precision) {
  std::vector<std::int32_t> plan;
  const auto append = [&plan](const auto& part) {
    const auto* values = reinterpret_cast<const std::int32_t*>(&part);
    plan.insert(plan.end(), values, values + sizeof part / sizeof *values);
  };
  append(ghostnet::cpu::PlanHeader{int(precision), table.kind, table.stem, table.activation,
                                   int(table.rows.size()), table.last, table.head, table.classes});
  for (const Row& row : table.rows) {
    append(ghostnet::cpu::PlanBlock{row.expanded, row.out, row.kernel, row.stride, row.squeezed,
                                    row.upsampling});
  }
  return plan;
}

}  // namespace reference
