// Fully connected layer on one row of channels for each image:
// out[m][n] = act(bias[n] + Σ_k weight[n][k] · in[m][k]).
//
// There are few images and many weights, which come from memory in every call. The weights
// therefore stream from memory once, row by row, and each vector of them meets every image.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "ops/activation.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Weights come in groups of four vectors of sixteen lanes, whatever the instruction set.
constexpr int kGroupVectors = 4;
constexpr int kGroupWeights = kGroupVectors * kMaxLanes;

template <int Lanes>
using GroupVectors = std::array<Floats<Lanes>, kGroupVectors>;

// Weights of 24 bits are for the head and the classifier, which hold half of all weights of
// GhostNet-1x and a third of MobileNetV2's; squeeze-excite has those of 32, since the slope of the
// gates can amplify a small difference. A quantized network has bytes in both.
enum class WeightFormat { kFloat32 = 0, kFloat24 = 1, kInt8 = 2, kBfloat16 = 3 };

struct Float32Weights {
  float values[kGroupVectors][kMaxLanes];
};

// Weights of 24 bits: a float32 without the last 8 bits of its fraction, to within 2⁻¹⁷ of its
// value. Three words hold four weights: the upper 24 bits of each word are one of the first three,
// and the lower 8 bits of all words are the fourth.
struct Float24Weights {
  std::uint32_t words[kGroupVectors - 1][kMaxLanes];
};

// The lower half of each word is one weight, the upper half another.
struct Bfloat16Weights {
  std::uint32_t words[kGroupVectors / 2][kMaxLanes];
};

struct Int8Group {
  std::int32_t words[kMaxLanes];
};

constexpr std::ptrdiff_t group_bytes(WeightFormat format) {
  switch (format) {
    case WeightFormat::kFloat32:
      return sizeof(Float32Weights);
    case WeightFormat::kFloat24:
      return sizeof(Float24Weights);
    case WeightFormat::kBfloat16:
      return sizeof(Bfloat16Weights);
    default:
      return sizeof(Int8Group);
  }
}

// Weights are [out][groups of in], zero-padded to whole groups; so are the rows of input. Bytes are
// [out][pass][groups of in], see int8_packing.h.
struct Dense {
  WeightFormat format;
  int in;
  int out;
  const char* weights;
  const float* bias;
  int passes = 1;
  Quantizer quantizer{};         // with bytes
  const float* steps = nullptr;  // of each output, with bytes

  static constexpr std::ptrdiff_t groups(std::ptrdiff_t length) {
    return (length + kGroupWeights - 1) / kGroupWeights;
  }
  // Packed weights, in floats.
  static constexpr std::ptrdiff_t size(WeightFormat format, std::ptrdiff_t out, std::ptrdiff_t in) {
    return out * groups(in) * group_bytes(format) / static_cast<std::ptrdiff_t>(sizeof(float));
  }
  const char* row(std::ptrdiff_t n) const {
    return weights + n * passes * groups(in) * group_bytes(format);
  }
};

// The length of a row with the zeros that a dense layer reads after it.
constexpr std::ptrdiff_t padded(std::ptrdiff_t length) {
  return Dense::groups(length) * kGroupWeights;
}

// Packs weights [out][in].
void pack_dense(WeightFormat format, const float* weights, int out, int in, float* packed);

// One row of channels for each image, `stride` floats apart.
struct ChannelRows {
  float* data;
  std::ptrdiff_t stride;

  float* row(std::ptrdiff_t image) const { return data + image * stride; }
  ChannelRows from(std::ptrdiff_t image) const { return {row(image), stride}; }
};

// Loads lanes first, …, first + Lanes - 1 of each vector of a group.
template <int Lanes>
inline GroupVectors<Lanes> load_group(const Float32Weights& weights, int first) {
  GroupVectors<Lanes> vectors;
  for (int i = 0; i < kGroupVectors; ++i) vectors[i] = load<Lanes>(weights.values[i] + first);
  return vectors;
}

template <int Lanes>
inline GroupVectors<Lanes> load_group(const Float24Weights& weights, int first) {
  Bits<Lanes> last = {};
  GroupVectors<Lanes> vectors;
  for (int i = 0; i < kGroupVectors - 1; ++i) {
    Bits<Lanes> words;
    std::memcpy(&words, weights.words[i] + first, sizeof words);
    vectors[i] = reinterpret_cast<Floats<Lanes>>(words & ~0xFF);
    last |= (words & 0xFF) << (24 - 8 * i);
  }
  vectors[kGroupVectors - 1] = reinterpret_cast<Floats<Lanes>>(last);
  return vectors;
}

template <int Lanes>
inline GroupVectors<Lanes> load_group(const Bfloat16Weights& weights, int first) {
  GroupVectors<Lanes> vectors;
  for (int i = 0; i < kGroupVectors; i += 2) {
    Bits<Lanes> words;
    std::memcpy(&words, weights.words[i / 2] + first, sizeof words);
    vectors[i] = reinterpret_cast<Floats<Lanes>>(words << 16);
    vectors[i + 1] = reinterpret_cast<Floats<Lanes>>(words & ~0xFFFF);
  }
  return vectors;
}

// Prefetches the group of weights that is `distance` groups further on.
template <class Weights>
inline void prefetch(const Weights* weights, std::ptrdiff_t distance) {
  const char* const line = reinterpret_cast<const char*>(weights + distance);
  for (std::size_t byte = 0; byte < sizeof(Weights); byte += 64) __builtin_prefetch(line + byte);
}

// Computes outputs n, …, n + Rows - 1 of `Images` images.
template <int Lanes, int Rows, int Images, class Weights>
void dense_tile(const Dense& layer, std::ptrdiff_t n, ChannelRows in, ChannelRows out) {
  const std::ptrdiff_t groups = Dense::groups(layer.in);
  Floats<Lanes> sums[Rows][Images] = {};
  for (std::ptrdiff_t group = 0; group < groups; ++group) {
    for (int r = 0; r < Rows; ++r) {
      const auto* weights = reinterpret_cast<const Weights*>(layer.row(n + r)) + group;
      prefetch(weights, Rows * groups);
      for (int first = 0; first < kMaxLanes; first += Lanes) {
        const GroupVectors<Lanes> vectors = load_group<Lanes>(*weights, first);
        for (int m = 0; m < Images; ++m) {
          const float* values = in.row(m) + group * kGroupWeights + first;
          for (int i = 0; i < kGroupVectors; ++i) {
            sums[r][m] += vectors[i] * load<Lanes>(values + i * kMaxLanes);
          }
        }
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int m = 0; m < Images; ++m) {
      out.row(m)[n + r] = layer.bias[n + r] + sum<Lanes>(sums[r][m]);
    }
  }
}

// Calls tile(rows, images, n, first) for tiles of outputs n, … and of images first, …; the first
// two are constants.
template <class Tile>
void for_each_dense_tile(int images, Range rows, Tile tile) {
  constexpr std::integral_constant<int, 4> kFour;
  constexpr std::integral_constant<int, 1> kOne;
  const auto for_each_row = [&](auto count, int first) {
    std::ptrdiff_t n = rows.begin;
    for (; n + kFour <= rows.end; n += kFour) tile(kFour, count, n, first);
    for (; n < rows.end; ++n) tile(kOne, count, n, first);
  };
  int image = 0;
  for (; image + kFour <= images; image += kFour) for_each_row(kFour, image);
  for (; image < images; ++image) for_each_row(kOne, image);
}

template <int Lanes, class Weights>
void dense_floats(const Dense& layer, ChannelRows in, ChannelRows out, int images, Range rows) {
  for_each_dense_tile(images, rows, [&](auto count, auto group, std::ptrdiff_t n, int first) {
    dense_tile<Lanes, count, group, Weights>(layer, n, in.from(first), out.from(first));
  });
}

// Computes the outputs `rows` of every image, without activation.
template <int Lanes>
void dense(const Dense& layer, ChannelRows in, ChannelRows out, int images, Range rows) {
  switch (layer.format) {
    case WeightFormat::kFloat32:
      return dense_floats<Lanes, Float32Weights>(layer, in, out, images, rows);
    case WeightFormat::kFloat24:
      return dense_floats<Lanes, Float24Weights>(layer, in, out, images, rows);
    default:
      return dense_floats<Lanes, Bfloat16Weights>(layer, in, out, images, rows);
  }
}

// Replaces the elements `range` of every row by function(elements), vector by vector.
template <int Lanes, class Function>
void for_each_vector(ChannelRows rows, int images, Range range, Function function) {
  for (int image = 0; image < images; ++image) {
    float* row = rows.row(image);
    for (std::ptrdiff_t i = range.begin; i < range.end; i += Lanes) {
      const std::ptrdiff_t count = range.end - i;
      store_first<Lanes>(row + i, function(load_first<Lanes>(row + i, count)), count);
    }
  }
}

// Clears every row from `length` to its padded end, which a dense layer reads.
template <int Lanes>
void clear_padding(ChannelRows rows, int images, std::ptrdiff_t length) {
  for (int image = 0; image < images; ++image) {
    float* row = rows.row(image);
    std::fill(row + length, row + padded(length), 0.0F);
  }
}

}  // namespace ghostnet::cpu
