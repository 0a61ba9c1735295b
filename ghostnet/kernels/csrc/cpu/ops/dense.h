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

#include "ops/activation.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Weights come in groups of four vectors of sixteen lanes, whatever the instruction set.
constexpr int kGroupVectors = 4;
constexpr int kGroupWeights = kGroupVectors * kMaxLanes;

template <int Lanes>
using GroupVectors = std::array<Floats<Lanes>, kGroupVectors>;

struct FullWeights {
  float values[kGroupVectors][kMaxLanes];
};

// Weights of 24 bits: a float32 without the last 8 bits of its fraction, to within 2⁻¹⁷ of its
// value. Three words hold four weights: the upper 24 bits of each word are one of the first three,
// and the lower 8 bits of all words are the fourth.
struct ShortWeights {
  std::uint32_t words[kGroupVectors - 1][kMaxLanes];
};

// Weights are [out][groups of in], zero-padded to whole groups; so are the rows of input.
template <class Weights>
struct DenseLayer {
  int in;
  int out;
  const Weights* weights;
  const float* bias;

  static constexpr std::ptrdiff_t groups(std::ptrdiff_t length) {
    return (length + kGroupWeights - 1) / kGroupWeights;
  }
  // Packed weights, in floats.
  static constexpr std::ptrdiff_t size(std::ptrdiff_t out, std::ptrdiff_t in) {
    return out * groups(in) * static_cast<std::ptrdiff_t>(sizeof(Weights) / sizeof(float));
  }
  const Weights* row(std::ptrdiff_t n) const { return weights + n * groups(in); }
};

// For squeeze-excite: the slope of the gates can amplify a small difference.
using Dense = DenseLayer<FullWeights>;

// For the head and the classifier, which hold half of all weights of GhostNet-1x and a third of
// MobileNetV2's.
using ShortDense = DenseLayer<ShortWeights>;

// The length of a row with the zeros that a dense layer reads after it.
constexpr std::ptrdiff_t padded(std::ptrdiff_t length) {
  return Dense::groups(length) * kGroupWeights;
}

// Packs weights [out][in].
void pack_dense(const float* weights, int out, int in, float* packed);
void pack_short_dense(const float* weights, int out, int in, float* packed);

// One row of channels for each image, `stride` floats apart.
struct ChannelRows {
  float* data;
  std::ptrdiff_t stride;

  float* row(std::ptrdiff_t image) const { return data + image * stride; }
};

// Loads lanes first, …, first + Lanes - 1 of each vector of a group.
template <int Lanes>
inline GroupVectors<Lanes> load_group(const FullWeights& weights, int first) {
  GroupVectors<Lanes> vectors;
  for (int i = 0; i < kGroupVectors; ++i) vectors[i] = load<Lanes>(weights.values[i] + first);
  return vectors;
}

template <int Lanes>
inline GroupVectors<Lanes> load_group(const ShortWeights& weights, int first) {
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

// Prefetches the group of weights that is `distance` groups further on.
template <class Weights>
inline void prefetch(const Weights* weights, std::ptrdiff_t distance) {
  const char* const line = reinterpret_cast<const char*>(weights + distance);
  for (std::size_t byte = 0; byte < sizeof(Weights); byte += 64) __builtin_prefetch(line + byte);
}

// Computes outputs n, …, n + Rows - 1 of `Images` images.
template <int Lanes, int Rows, int Images, class Layer>
void dense_tile(const Layer& layer, std::ptrdiff_t n, ChannelRows in, ChannelRows out) {
  const std::ptrdiff_t groups = Layer::groups(layer.in);
  Floats<Lanes> sums[Rows][Images] = {};
  for (std::ptrdiff_t group = 0; group < groups; ++group) {
    for (int r = 0; r < Rows; ++r) {
      const auto* weights = layer.row(n + r) + group;
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

template <int Lanes, int Images, class Layer>
void dense_rows(const Layer& layer, ChannelRows in, ChannelRows out, Range rows) {
  constexpr int kRows = 4;
  std::ptrdiff_t n = rows.begin;
  for (; n + kRows <= rows.end; n += kRows) dense_tile<Lanes, kRows, Images>(layer, n, in, out);
  for (; n < rows.end; ++n) dense_tile<Lanes, 1, Images>(layer, n, in, out);
}

// Computes the outputs `rows` of every image, without activation.
template <int Lanes, class Layer>
void dense(const Layer& layer, ChannelRows in, ChannelRows out, int images, Range rows) {
  for (; images >= 4; images -= 4) {
    dense_rows<Lanes, 4>(layer, in, out, rows);
    in.data += 4 * in.stride;
    out.data += 4 * out.stride;
  }
  for (; images >= 1; --images) {
    dense_rows<Lanes, 1>(layer, in, out, rows);
    in.data += in.stride;
    out.data += out.stride;
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
