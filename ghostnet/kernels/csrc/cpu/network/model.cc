#include "network/model.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "network/plan.h"
#include "ops/activation.h"
#include "ops/amx_packing.h"
#include "ops/attention.h"
#include "ops/int8_packing.h"
#include "ops/quantization.h"
#include "simd/amx_tile.h"

namespace ghostnet::cpu {
namespace {

// With fewer input channels, splitting pixels for AMX costs as much as AMX saves.
constexpr int kDeepChannels = 80;

// Takes the weights of one layer after the other.
class WeightReader {
 public:
  WeightReader(const PackedModel& packed, Precision precision)
      : next_(packed.weights), left_(packed.weights_size), precision_(precision) {}

  // A layer and the layers that share its channel tiles must agree on AMX. `depth` decides: the
  // input channels of the layer that the others follow.
  Pointwise pointwise(int in, int out, int depth) {
    if (precision_ == Precision::kInt8 && Int8Weights::are_faster(out, in)) {
      return int8_pointwise(in, out);
    }
    if (precision_ == Precision::kQuantized) return quantized_pointwise(in, out);
    if (precision_ == Precision::kBfloat16 && is_faster_in_bfloat16(out)) {
      const float* const pairs = take(bfloat16_size(out, in));
      return {in,       out, false, nullptr, {}, {}, reinterpret_cast<const std::int32_t*>(pairs),
              take(out)};
    }
    return floats(in, out, depth);
  }

  Pointwise floats(int in, int out, int depth) {
    const float* weights = take(std::int64_t{in} * out);
    const AmxWeights amx{amx::is_available() ? take(AmxWeights::size(out, in)) : nullptr};
    return {in, out, depth >= kDeepChannels, weights, amx, {}, nullptr, take(out)};
  }

  Stem stem(int out) {
    constexpr int kTaps = Stem::kTaps;
    if (precision_ != Precision::kQuantized) return {floats(kTaps, out, kTaps), {}, nullptr, {}};
    const Quantizer by = quantizer();
    const float* const weights = take(std::int64_t{kTaps} * out);
    const Pointwise taps{kTaps, out, false, weights, {}, {}, nullptr, take(out)};
    const float* const steps = take(out);
    return {taps, by, steps, take(out)};
  }

  Depthwise depthwise(int channels, int kernel, int stride) {
    const bool quantized = precision_ == Precision::kQuantized;
    const Quantizer by = quantized ? quantizer() : Quantizer{};
    const float* const steps = quantized ? take(channels) : nullptr;
    const float* const weights = take(std::int64_t{channels} * kernel * kernel);
    return {kernel, stride, weights, take(channels), by, steps};
  }

  // In bfloat16, if the network is, and else in the given format.
  Dense dense(WeightFormat format, int in, int out) {
    if (precision_ == Precision::kBfloat16) format = WeightFormat::kBfloat16;
    const auto* const weights = reinterpret_cast<const char*>(take(Dense::size(format, out, in)));
    return {format, in, out, weights, take(out)};
  }

  // A layer that holds bytes in a quantized network, and else has the given format.
  Dense convolution_of_means(WeightFormat format, int in, int out) {
    if (precision_ != Precision::kQuantized) return dense(format, in, out);
    const int passes = read_passes();
    const Quantizer by = quantizer();
    const float* const steps = take(out);
    Dense layer = dense(WeightFormat::kInt8, passes * static_cast<int>(padded(in)), out);
    layer.in = in;
    layer.passes = passes;
    layer.quantizer = by;
    layer.steps = steps;
    return layer;
  }

  Strip strip(int channels) {
    const float* weights = take(std::int64_t{channels} * Strip::kTaps);
    return {weights, take(channels)};
  }

  Attention attention(Upsampling upsampling, int in, int out) {
    const Pointwise first = pointwise(in, out / 2, in);
    const Pointwise second = pointwise(in, out / 2, in);
    const Strip horizontal = strip(out);
    return {upsampling, {first, second}, horizontal, strip(out)};
  }

  GhostModule ghost_module(int in, int out, int parts) {
    const Pointwise primary = pointwise(in, out / parts, in);
    return {primary, depthwise(out / parts, 3, 1), out};
  }

  Bottleneck block(BlockKind kind, int in, const PlanBlock& plan) {
    Bottleneck block{};
    block.kind = kind;
    block.in = in;
    block.expanded = plan.expansion_channels;
    block.out = plan.out_channels;
    block.kernel = plan.kernel_size;
    block.stride = plan.stride;
    kind == BlockKind::kInvertedResidual ? read_inverted_residual(block)
                                         : read_ghost_bottleneck(plan, block);
    return block;
  }

  std::int64_t left() const { return left_; }

 private:
  Pointwise int8_pointwise(int in, int out) {
    const float* const scales = take(in);
    const float* const zeros = take(in);
    return pointwise_of_bytes(in, out, 1, scales, zeros);
  }

  Pointwise quantized_pointwise(int in, int out) {
    const int passes = read_passes();
    const float* const scales = take(in);
    const float* const zeros = take(in);
    return pointwise_of_bytes(in, out, passes, scales, zeros);
  }

  Pointwise pointwise_of_bytes(int in, int out, int passes, const float* scales,
                               const float* zeros) {
    const float* const steps = take(out);
    const float* const groups = take(std::int64_t{out} * passes * Int8Weights::groups_of(in));
    const Int8Weights weights{scales, zeros, steps, passes,
                              reinterpret_cast<const std::int32_t*>(groups)};
    return {in, out, false, nullptr, {}, weights, nullptr, take(out)};
  }

  // Of the weights of a quantized layer: 1, and 1 more if the number before them is not 0.
  int read_passes() { return *take(1) == 0 ? 1 : 2; }

  Quantizer quantizer() {
    const float* const values = take(3);
    return {values[0], values[1], values[2]};
  }

  void read_ghost_bottleneck(const PlanBlock& plan, Bottleneck& block) {
    const int in = block.in;
    const int squeezed_channels = plan.se_channels;
    const auto upsampling = static_cast<Upsampling>(plan.upsampling);
    const int parts = block.kind == BlockKind::kRepGhostBottleneck ? 1 : 2;
    block.ghost1 = ghost_module(in, block.expanded, parts);
    if (upsampling != Upsampling::kNone) {
      block.attention = attention(upsampling, in, block.expanded);
    }
    if (block.stride > 1) block.downsample = depthwise(block.expanded, block.kernel, block.stride);
    if (squeezed_channels > 0) {
      constexpr auto kFormat = WeightFormat::kFloat32;
      SqueezeExcite& layers = block.squeeze_excite;
      layers.reduce = convolution_of_means(kFormat, block.expanded, squeezed_channels);
      layers.expand = convolution_of_means(kFormat, squeezed_channels, block.expanded);
    }
    block.ghost2 = ghost_module(block.expanded, block.out, parts);
    if (block.has_shortcut()) {
      block.shortcut.depthwise = depthwise(in, block.kernel, block.stride);
      for (int part = 0; part < parts; ++part) {
        block.shortcut.parts[part] = pointwise(in, block.out / parts, block.expanded);
      }
    }
  }

  void read_inverted_residual(Bottleneck& block) {
    InvertedResidual& layers = block.inverted_residual;
    if (block.expanded != block.in) {
      layers.expansion = pointwise(block.in, block.expanded, block.in);
    }
    layers.depthwise = depthwise(block.expanded, block.kernel, block.stride);
    layers.projection = pointwise(block.expanded, block.out, block.expanded);
  }

  const float* take(std::int64_t count) {
    if (count < 0 || count > left_) throw std::invalid_argument("fewer weights than planned");
    const float* taken = next_;
    next_ += count;
    left_ -= count;
    return taken;
  }

  const float* next_;
  std::int64_t left_;
  const Precision precision_;
};

// More channels than these have no use; the sizes of such layers fit an int64.
constexpr std::int32_t kMaxChannels = 1 << 24;

bool is_channels(std::int32_t count) { return count > 0 && count <= kMaxChannels; }
bool is_none_or_channels(std::int32_t count) { return count == 0 || is_channels(count); }

bool is_known(const PlanHeader& header) {
  const auto last_precision = static_cast<std::int32_t>(Precision::kBfloat16);
  const auto last_kind = static_cast<std::int32_t>(BlockKind::kRepGhostBottleneck);
  const auto last_activation = static_cast<std::int32_t>(Activation::kRelu6);
  return header.precision >= 0 && header.precision <= last_precision && header.block_kind >= 0 &&
         header.block_kind <= last_kind && header.activation >= 0 &&
         header.activation <= last_activation && is_channels(header.stem_channels) &&
         is_channels(header.last_channels) && is_none_or_channels(header.head_channels) &&
         is_none_or_channels(header.classes);
}

PlanHeader read_header(const PackedModel& packed) {
  PlanHeader header{};
  if (packed.plan_size >= kPlanHeaderSize) std::memcpy(&header, packed.plan, sizeof header);
  if (header.blocks < 0 || packed.plan_size != kPlanHeaderSize + kPlanBlockSize * header.blocks) {
    throw std::invalid_argument("a plan of the wrong length");
  }
  if (!is_known(header)) throw std::invalid_argument("a plan of an unknown network");
  return header;
}

// Whether a block has the channels and the kernel that blocks of its kind have.
bool fits(BlockKind kind, const PlanBlock& block) {
  if (block.stride != 1 && block.stride != 2) return false;
  if (!is_channels(block.expansion_channels) || !is_channels(block.out_channels)) return false;
  const auto last_upsampling = static_cast<std::int32_t>(Upsampling::kBilinear);
  if (block.upsampling < 0 || block.upsampling > last_upsampling) return false;
  if (block.upsampling != 0 && kind != BlockKind::kGhostBottleneck) return false;
  if (kind == BlockKind::kInvertedResidual) {
    return block.kernel_size == 3 && block.se_channels == 0;
  }
  const bool has_halves = block.expansion_channels % 2 == 0 && block.out_channels % 2 == 0;
  return (kind == BlockKind::kRepGhostBottleneck || has_halves) &&
         is_none_or_channels(block.se_channels) &&
         (block.kernel_size == 3 || block.kernel_size == 5);
}

// Blocks of quantized layers are Ghost bottlenecks without attention.
bool can_be_quantized(BlockKind kind, const PlanBlock& block) {
  return kind == BlockKind::kGhostBottleneck && block.upsampling == 0;
}

PlanBlock read_block(const PackedModel& packed, const PlanHeader& plan, std::int64_t index) {
  const auto kind = static_cast<BlockKind>(plan.block_kind);
  const auto precision = static_cast<Precision>(plan.precision);
  PlanBlock block;
  std::memcpy(&block, packed.plan + kPlanHeaderSize + kPlanBlockSize * index, sizeof block);
  if (!fits(kind, block) || (precision == Precision::kQuantized && !can_be_quantized(kind, block)))
    throw std::invalid_argument("a block that is not of its kind");
  return block;
}

}  // namespace

bool Model::accepts(int height, int width) const {
  int side = halved(std::min(height, width));
  for (const Bottleneck& block : blocks) {
    if (block.has_attention() && side < 2) return false;
    if (block.stride == 2) side = halved(side);
  }
  return true;
}

Model read_model(const PackedModel& packed) {
  const PlanHeader plan = read_header(packed);
  const auto precision = static_cast<Precision>(plan.precision);
  WeightReader reader(packed, precision);
  Model model{};
  model.precision = precision;
  model.activation = static_cast<Activation>(plan.activation);
  model.stem = reader.stem(plan.stem_channels);
  const auto kind = static_cast<BlockKind>(plan.block_kind);
  int channels = plan.stem_channels;
  for (int block = 0; block < plan.blocks; ++block) {
    model.blocks.push_back(reader.block(kind, channels, read_block(packed, plan, block)));
    channels = model.blocks.back().out;
  }
  model.head.last = reader.pointwise(channels, plan.last_channels, channels);
  if (plan.head_channels > 0) {
    model.head.head =
        reader.convolution_of_means(WeightFormat::kFloat24, plan.last_channels, plan.head_channels);
  }
  if (plan.classes > 0) {
    model.head.classifier =
        reader.dense(WeightFormat::kFloat24, model.head.features(), plan.classes);
  }
  if (reader.left() != 0) throw std::invalid_argument("more weights than planned");
  return model;
}

}  // namespace ghostnet::cpu
