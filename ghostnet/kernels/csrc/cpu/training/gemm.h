// Products of a weight matrix and a matrix with long rows: pointwise convolutions, where a row is
// the plane of a channel.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "simd/vector.h"

namespace ghostnet::cpu::training {

// Output channels of a register tile, and vectors of each. Their sums take 24 of 32 registers with
// AVX-512, else 12 of 16, where 6 × 2 loads 8 values for 12 multiply-adds and 12 × 1 loads 13.
template <int Lanes>
constexpr int kTileRows = Lanes == 16 ? 12 : 6;
constexpr int kTileVectors = 2;

// A matrix of weights or its transpose: element (row, column) is
// data[row · row_stride + column · column_stride].
struct WeightMatrix {
  const float* data;
  int rows;
  int columns;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;
};

// The rows of a matrix cut into tiles of about equal height, at most kTileRows.
template <int Lanes>
struct WeightTiles {
  const WeightMatrix& matrix;

  int count() const { return (matrix.rows + kTileRows<Lanes> - 1) / kTileRows<Lanes>; }
  int first_row(std::ptrdiff_t tile) const {
    return static_cast<int>(matrix.rows * tile / count());
  }

  // Writes the rows of a tile, column by column.
  void pack(std::ptrdiff_t tile, float* to) const {
    for (int column = 0; column < matrix.columns; ++column) {
      for (int row = first_row(tile); row < first_row(tile + 1); ++row) {
        *to++ = matrix.data[row * matrix.row_stride + column * matrix.column_stride];
      }
    }
  }
};

// The rows of `in`, one for each column of the weights, and of `out`, one for each row. All are
// `size` floats long and contiguous.
struct GemmRows {
  const float* in;
  float* out;
  std::ptrdiff_t size;
};

// The product of one tile of weights.
struct TileProduct {
  const float* weights;  // packed
  int depth;
  GemmRows rows;
};

// Computes Vectors vectors of Rows rows, from `position` on.
template <int Lanes, int Rows, int Vectors>
inline void register_tile(const TileProduct& product, std::ptrdiff_t position) {
  Floats<Lanes> sums[Rows][Vectors] = {};
  const float* weights = product.weights;
  const float* in = product.rows.in + position;
  for (int k = 0; k < product.depth; ++k, weights += Rows, in += product.rows.size) {
    Floats<Lanes> pixels[Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) pixels[v] = load<Lanes>(in + v * Lanes);
#pragma GCC unroll 16
    for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) sums[row][v] += weights[row] * pixels[v];
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      store<Lanes>(product.rows.out + row * product.rows.size + position + v * Lanes, sums[row][v]);
    }
  }
}

// Computes the rows from `position` on, the remainder in ever narrower register tiles.
template <int Lanes, int Rows, int Vectors>
void multiply_from(const TileProduct& product, std::ptrdiff_t position) {
  constexpr int kStep = Lanes * Vectors;
  for (; position + kStep <= product.rows.size; position += kStep) {
    register_tile<Lanes, Rows, Vectors>(product, position);
  }
  if constexpr (Vectors > 1) {
    multiply_from<Lanes, Rows, 1>(product, position);
  } else if constexpr (Lanes > 1) {
    multiply_from<(Lanes > 4 ? 4 : 1), Rows, 1>(product, position);
  }
}

template <int Lanes, int... Index>
constexpr auto multiply_functions(std::integer_sequence<int, Index...>) {
  return std::array{&multiply_from<Lanes, Index + 1, kTileVectors>...};
}

// Computes the rows of one tile of weights. `packed` has room for kTileRows × columns floats.
template <int Lanes>
void multiply_tile(const WeightTiles<Lanes>& tiles, std::ptrdiff_t tile, const GemmRows& rows,
                   float* packed) {
  static constexpr auto kFunctions =
      multiply_functions<Lanes>(std::make_integer_sequence<int, kTileRows<Lanes>>{});
  const int first = tiles.first_row(tile);
  tiles.pack(tile, packed);
  const TileProduct product{
      packed, tiles.matrix.columns, {rows.in, rows.out + first * rows.size, rows.size}};
  kFunctions[tiles.first_row(tile + 1) - first - 1](product, 0);
}

}  // namespace ghostnet::cpu::training
