// Fully connected layer on a few vectors: out[m][n] = act(bias[n] + Σ_k weight[n][k] · in[m][k]).
//
// There are few vectors and many weights, so the weights stream from memory once, row by row, and
// each pack of them meets every vector.
#pragma once

#include "activation.h"
#include "planes.h"

namespace ghostnet::cpu {

// Weights are [out][padded_in], with zeros in the padding; so are the vectors that it reads.
struct Dense {
  int in;
  int out;
  const float* weights;
  const float* bias;

  static constexpr std::ptrdiff_t padded(std::ptrdiff_t length) {
    return (length + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  }
  const float* row(std::ptrdiff_t n) const { return weights + n * padded(in); }
};

// `images` vectors, `stride` floats apart.
struct Vectors {
  float* data;
  std::ptrdiff_t stride;

  float* vector(std::ptrdiff_t image) const { return data + image * stride; }
};

template <int Lanes, int Rows, int Images>
void dense_tile(const Dense& layer, std::ptrdiff_t n, Vectors in, Vectors out) {
  Floats<Lanes> sums[Rows][Images] = {};
  for (std::ptrdiff_t k = 0; k < Dense::padded(layer.in); k += Lanes) {
    Floats<Lanes> values[Images];
    for (int m = 0; m < Images; ++m) values[m] = load<Lanes>(in.vector(m) + k);
    for (int r = 0; r < Rows; ++r) {
      const Floats<Lanes> weights = load<Lanes>(layer.row(n + r) + k);
      __builtin_prefetch(layer.row(n + r + Rows) + k);
      for (int m = 0; m < Images; ++m) sums[r][m] += weights * values[m];
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int m = 0; m < Images; ++m) {
      out.vector(m)[n + r] = layer.bias[n + r] + sum<Lanes>(sums[r][m]);
    }
  }
}

template <int Lanes, int Images>
void dense_rows(const Dense& layer, Vectors in, Vectors out, Range rows) {
  constexpr int kRows = 4;
  std::ptrdiff_t n = rows.begin;
  for (; n + kRows <= rows.end; n += kRows) dense_tile<Lanes, kRows, Images>(layer, n, in, out);
  for (; n < rows.end; ++n) dense_tile<Lanes, 1, Images>(layer, n, in, out);
}

// The outputs `rows` of every vector.
template <int Lanes>
void dense(const Dense& layer, Vectors in, Vectors out, int images, Range rows) {
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
    std::fill(vector + length, vector + Dense::padded(length), 0.0F);
  }
}

}  // namespace ghostnet::cpu
