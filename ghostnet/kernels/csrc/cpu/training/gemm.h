// Products of matrices whose rows are long: those of pointwise convolutions, where a row is a
// channel's plane.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "simd/vector.h"

namespace ghostnet::cpu::training {

constexpr int kBlockRows = 12;

// A matrix of weights or its transpose: element (row, column) is
// data[row · row_stride + column · column_stride].
struct Weights {
  const float* data;
  int rows;
  int columns;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;

  int blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  int first(std::ptrdiff_t block) const { return static_cast<int>(rows * block / blocks()); }

  // The rows of a block, column by column.
  void pack(std::ptrdiff_t block, float* to) const {
    for (int column = 0; column < columns; ++column) {
      for (int row = first(block); row < first(block + 1); ++row) {
        *to++ = data[row * row_stride + column * column_stride];
      }
    }
  }
};

// One block of rows of weights · in, where `in` has a row for each column of the weights.
struct BlockProduct {
  const float* weights;  // packed
  int depth;
  const float* in;
  float* out;
  std::ptrdiff_t size;  // of the rows of `in` and `out`, which lie one after the other
};

template <int Lanes, int Rows, int Packs>
inline void product_tile(const BlockProduct& product, std::ptrdiff_t position) {
  Floats<Lanes> sums[Rows][Packs] = {};
  const float* weights = product.weights;
  const float* in = product.in + position;
  for (int k = 0; k < product.depth; ++k, weights += Rows, in += product.size) {
    Floats<Lanes> pixels[Packs];
    for (int v = 0; v < Packs; ++v) pixels[v] = load<Lanes>(in + v * Lanes);
    for (int row = 0; row < Rows; ++row) {
      for (int v = 0; v < Packs; ++v) sums[row][v] += weights[row] * pixels[v];
    }
  }
  for (int row = 0; row < Rows; ++row) {
    for (int v = 0; v < Packs; ++v) {
      store<Lanes>(product.out + row * product.size + position + v * Lanes, sums[row][v]);
    }
  }
}

// The rest of a row in ever narrower tiles.
template <int Lanes, int Rows, int Packs>
void product_tiles(const BlockProduct& product, std::ptrdiff_t position) {
  constexpr int kStep = Lanes * Packs;
  for (; position + kStep <= product.size; position += kStep) {
    product_tile<Lanes, Rows, Packs>(product, position);
  }
  if constexpr (Packs > 1) {
    product_tiles<Lanes, Rows, 1>(product, position);
  } else if constexpr (Lanes > 1) {
    product_tiles<(Lanes > 4 ? 4 : 1), Rows, 1>(product, position);
  }
}

template <int Lanes, int... Index>
constexpr auto product_functions(std::integer_sequence<int, Index...>) {
  return std::array{&product_tiles<Lanes, Index + 1, Lanes == 16 ? 2 : 1>...};
}

// `packed` is room for a block of weights.
template <int Lanes>
void multiply_block(const Weights& weights, std::ptrdiff_t block, const float* in, float* out,
                    std::ptrdiff_t size, float* packed) {
  static constexpr auto kFunctions =
      product_functions<Lanes>(std::make_integer_sequence<int, kBlockRows>{});
  const int first = weights.first(block);
  weights.pack(block, packed);
  const BlockProduct product{packed, weights.columns, in, out + first * size, size};
  kFunctions[weights.first(block + 1) - first - 1](product, 0);
}

}  // namespace ghostnet::cpu::training
