// Fully connected layer on a few vectors: out[m][n] = act(bias[n] + Σ_k weight[n][k] · in[m][k]).
//
// There are few vectors and many weights, which have to come from memory for every call, so they
// stream from there once, row by row, and each pack of them meets every vector.
#pragma once

#include <array>
#include <cstring>

#include "ops/activation.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

// Weights come in groups of four packs of sixteen.
constexpr int kGroupPacks = 4;
constexpr int kGroupWeights = kGroupPacks * kMaxLanes;

template <int Lanes>
using GroupPacks = std::array<Floats<Lanes>, kGroupPacks>;

struct FullWeights {
  float values[kGroupPacks][kMaxLanes];
};

// Weights of 24 bits: a float32 without the last 8 bits of its fraction, within 2⁻¹⁷ of what it
// was. Three words hold four of them: the words' upper 24 bits the first three, their lower 8 bits
// together the fourth.
struct ShortWeights {
  std::uint32_t words[kGroupPacks - 1][kMaxLanes];
};

// Weights are [out][groups of in], with zeros behind the last; so are the vectors that it reads.
template <class Weights>
struct DenseLayer {
  int in;
  int out;
  const Weights* weights;
  const float* bias;

  static constexpr std::ptrdiff_t groups(std::ptrdiff_t length) {
    return (length + kGroupWeights - 1) / kGroupWeights;
  }
  // Floats that the weights take the memory of.
  static constexpr std::ptrdiff_t size(std::ptrdiff_t out, std::ptrdiff_t in) {
    return out * groups(in) * static_cast<std::ptrdiff_t>(sizeof(Weights) / sizeof(float));
  }
  const Weights* row(std::ptrdiff_t n) const { return weights + n * groups(in); }
};

// For squeeze-excite, where the gates' slope can make much of a small difference.
using Dense = DenseLayer<FullWeights>;

// For the head and the classifier, half of all weights of GhostNet-1x.
using ShortDense = DenseLayer<ShortWeights>;

// The length of a vector with the zeros that a dense layer reads behind it.
constexpr std::ptrdiff_t padded(std::ptrdiff_t length) {
  return Dense::groups(length) * kGroupWeights;
}

// [out][in] to the weights of a dense layer.
void pack_dense(const float* weights, int out, int in, float* packed);
void pack_short_dense(const float* weights, int out, int in, float* packed);

// The lanes from `first` on of a group of weights.
template <int Lanes>
inline GroupPacks<Lanes> packs_of(const FullWeights& weights, int first) {
  GroupPacks<Lanes> packs;
  for (int i = 0; i < kGroupPacks; ++i) packs[i] = load<Lanes>(weights.values[i] + first);
  return packs;
}

template <int Lanes>
inline GroupPacks<Lanes> packs_of(const ShortWeights& weights, int first) {
  Bits<Lanes> last = {};
  GroupPacks<Lanes> packs;
  for (int i = 0; i < kGroupPacks - 1; ++i) {
    Bits<Lanes> words;
    std::memcpy(&words, weights.words[i] + first, sizeof words);
    packs[i] = reinterpret_cast<Floats<Lanes>>(words & ~0xFF);
    last |= (words & 0xFF) << (24 - 8 * i);
  }
  packs[kGroupPacks - 1] = reinterpret_cast<Floats<Lanes>>(last);
  return packs;
}

// `images` vectors, `stride` floats apart.
struct Vectors {
  float* data;
  std::ptrdiff_t stride;

  float* vector(std::ptrdiff_t image) const { return data + image * stride; }
};

// Asks for what lies `distance` groups behind some weights.
template <class Weights>
inline void prefetch(const Weights* weights, std::ptrdiff_t distance) {
  const char* const line = reinterpret_cast<const char*>(weights + distance);
  for (std::size_t byte = 0; byte < sizeof(Weights); byte += 64) __builtin_prefetch(line + byte);
}

template <int Lanes, int Rows, int Images, class Layer>
void dense_tile(const Layer& layer, std::ptrdiff_t n, Vectors in, Vectors out) {
  const std::ptrdiff_t groups = Layer::groups(layer.in);
  Floats<Lanes> sums[Rows][Images] = {};
  for (std::ptrdiff_t group = 0; group < groups; ++group) {
    for (int r = 0; r < Rows; ++r) {
      const auto* weights = layer.row(n + r) + group;
      prefetch(weights, Rows * groups);
      for (int first = 0; first < kMaxLanes; first += Lanes) {
        const GroupPacks<Lanes> packs = packs_of<Lanes>(*weights, first);
        for (int m = 0; m < Images; ++m) {
          const float* values = in.vector(m) + group * kGroupWeights + first;
          for (int i = 0; i < kGroupPacks; ++i) {
            sums[r][m] += packs[i] * load<Lanes>(values + i * kMaxLanes);
          }
        }
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int m = 0; m < Images; ++m) {
      out.vector(m)[n + r] = layer.bias[n + r] + sum<Lanes>(sums[r][m]);
    }
  }
}

template <int Lanes, int Images, class Layer>
void dense_rows(const Layer& layer, Vectors in, Vectors out, Range rows) {
  constexpr int kRows = 4;
  std::ptrdiff_t n = rows.begin;
  for (; n + kRows <= rows.end; n += kRows) dense_tile<Lanes, kRows, Images>(layer, n, in, out);
  for (; n < rows.end; ++n) dense_tile<Lanes, 1, Images>(layer, n, in, out);
}

// The outputs `rows` of every vector.
template <int Lanes, class Layer>
void dense(const Layer& layer, Vectors in, Vectors out, int images, Range rows) {
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

// Applies `function` to the packs of elements `range` of every vector.
template <int Lanes, class Function>
void for_each_pack(Vectors vectors, int images, Range range, Function function) {
  for (int image = 0; image < images; ++image) {
    float* vector = vectors.vector(image);
    for (std::ptrdiff_t i = range.begin; i < range.end; i += Lanes) {
      const std::ptrdiff_t count = range.end - i;
      store_first<Lanes>(vector + i, function(load_first<Lanes>(vector + i, count)), count);
    }
  }
}

// Zeros between the end of every vector and its padded end, for a `dense` that reads them.
template <int Lanes>
void clear_padding(Vectors vectors, int images, std::ptrdiff_t length) {
  for (int image = 0; image < images; ++image) {
    float* vector = vectors.vector(image);
    std::fill(vector + length, vector + padded(length), 0.0F);
  }
}

}  // namespace ghostnet::cpu
