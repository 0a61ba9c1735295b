// Products of a weight matrix and a matrix with long rows: pointwise convolutions, where a row is
// the plane of a channel.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "simd/multipliers.h"
#include "simd/vector.h"
#include "training/parallel_for.h"

namespace ghostnet::cpu::training {

// Output channels of a register tile, and vectors of each. Their sums take 24 of 32 registers, or
// 12 of 16, where 6 × 2 loads 8 values for 12 multiply-adds and 12 × 1 loads 13.
template <int Lanes>
constexpr int kTileRows = kVectorRegisters<Lanes> * 3 / 8;
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

// Computes Vectors vectors of Rows rows, from `position` on, and prefetches those that follow: they
// are of more rows than the processor prefetches by itself. Is always inline, because its symbol
// would be the same for several instruction sets.
template <int Width, int Rows, int Vectors>
[[gnu::always_inline]] inline void register_tile(const TileProduct& product,
                                                 std::ptrdiff_t position) {
  Floats<Width> sums[Rows][Vectors] = {};
  const float* weights = product.weights;
  const float* in = product.rows.in + position;
  for (int k = 0; k < product.depth; ++k, weights += Rows, in += product.rows.size) {
    __builtin_prefetch(in + Vectors * Width);
    Floats<Width> pixels[Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) pixels[v] = load<Width>(in + v * Width);
    const Multipliers<Rows> multipliers(weights);
#pragma GCC unroll 16
    for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) sums[row][v] += multipliers[row] * pixels[v];
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      store<Width>(product.rows.out + row * product.rows.size + position + v * Width, sums[row][v]);
    }
  }
}

// Computes the rows of a tile of weights. The last vectors overlap those before; `Width` is that of
// the vectors, narrower than `Lanes` where the rows are shorter.
template <int Lanes, int Rows, int Width = Lanes>
void multiply_rows(const TileProduct& product) {
  const std::ptrdiff_t size = product.rows.size;
  if (size >= Width) {
    constexpr int kStep = Width * kTileVectors;
    std::ptrdiff_t position = 0;
    for (; position + kStep <= size; position += kStep) {
      register_tile<Width, Rows, kTileVectors>(product, position);
    }
    for (; position < size; position += Width) {
      register_tile<Width, Rows, 1>(product, std::min(position, size - Width));
    }
  } else if constexpr (Width > 1) {
    multiply_rows<Lanes, Rows, (Width > 4 ? 4 : 1)>(product);
  }
}

template <int Lanes, int... Index>
constexpr auto multiply_functions(std::integer_sequence<int, Index...>) {
  return std::array{&multiply_rows<Lanes, Index + 1>...};
}

// The rows of a weight matrix cut into tiles of about equal height, at most kTileRows, and packed
// tile after tile, each column by column.
template <int Lanes>
class PackedWeights {
 public:
  PackedWeights(const WeightMatrix& matrix, int threads)
      : rows_(matrix.rows),
        depth_(matrix.columns),
        memory_(new float[std::size_t(matrix.rows) * matrix.columns + kOverread]) {
    parallel_for(threads, tiles(), [&](IndexQueue& indices) {
      indices.for_each([&](std::ptrdiff_t tile) { pack(matrix, tile); });
    });
  }

  int tiles() const { return (rows_ + kTileRows<Lanes> - 1) / kTileRows<Lanes>; }

  // Computes the rows of one tile.
  void multiply_tile(std::ptrdiff_t tile, const GemmRows& rows) const {
    static constexpr auto kFunctions =
        multiply_functions<Lanes>(std::make_integer_sequence<int, kTileRows<Lanes>>{});
    const int first = first_row(tile);
    kFunctions[first_row(tile + 1) - first - 1](
        {packed(first), depth_, {rows.in, rows.out + first * rows.size, rows.size}});
  }

 private:
  // Floats after the weights that a register tile may read.
  static constexpr int kOverread = 3;

  int first_row(std::ptrdiff_t tile) const { return static_cast<int>(rows_ * tile / tiles()); }
  float* packed(int row) const { return memory_.get() + std::ptrdiff_t{row} * depth_; }

  void pack(const WeightMatrix& matrix, std::ptrdiff_t tile) {
    float* to = packed(first_row(tile));
    for (int column = 0; column < matrix.columns; ++column) {
      for (int row = first_row(tile); row < first_row(tile + 1); ++row) {
        *to++ = matrix.data[row * matrix.row_stride + column * matrix.column_stride];
      }
    }
  }

  int rows_;
  int depth_;
  std::unique_ptr<float[]> memory_;
};

}  // namespace ghostnet::cpu::training
