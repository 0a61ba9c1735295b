// Depthwise k×k convolution of one plane, padded by k / 2, stride 1 or 2.
//
// For each column of the kernel, a vector of pixels is multiplied by that column's weights of all
// rows. The sums of the columns are then shifted into place and added. Each pixel is thus loaded
// once for a vector of outputs, and lanes shift once for each column instead of each weight.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "ops/activation.h"
#include "ops/planes.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/multipliers.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

struct Depthwise {
  int kernel;            // 3 or 5
  int stride;            // 1 or 2
  const float* weights;  // [channel][kernel][kernel]
  const float* bias;
  Quantizer quantizer;
  const float* steps;  // of each channel of a quantized layer, whose weights are whole numbers

  bool is_quantized() const { return steps != nullptr; }
  const float* filter(std::ptrdiff_t channel) const { return weights + channel * kernel * kernel; }
};

// The convolution of one plane.
struct DepthwiseParams {
  const float* in;
  Grid in_grid;
  const float* filter;
  float bias;
  Activation activation;
  const float* residual;  // on out_grid, added after the activation; may be null
  float* out;
  Grid out_grid;
  const float* step = nullptr;  // multiplies the sum, where it is not null
};

// A vector for each column of the kernel, or for each phase of the pixels: with stride 2 the even
// and the odd columns, with stride 1 all of them.
template <int Lanes, int Count>
using Columns = std::array<Floats<Lanes>, Count>;

// The weights of a kernel, [row][column].
template <int Lanes, int Kernel>
using Filter = KeptMultipliers<Lanes, Kernel * Kernel>;

// The sum of each column of the kernel over its rows. row_at(y) gives the phases of the pixels
// under row y of the kernel.
template <int Lanes, int Kernel, class RowAt>
inline Columns<Lanes, Kernel> column_sums(const Filter<Lanes, Kernel>& filter, RowAt row_at) {
  Columns<Lanes, Kernel> sums;
#pragma GCC unroll 8
  for (int y = 0; y < Kernel; ++y) {
    const auto phases = row_at(y);
#pragma GCC unroll 8
    for (int x = 0; x < Kernel; ++x) {
      const Floats<Lanes> product = filter[y * Kernel + x] * phases[x % phases.size()];
      sums[x] = y == 0 ? product : sums[x] + product;
    }
  }
  return sums;
}

// Clears the lanes whose row (or column) `index + offset` is not in 0, …, length - 1, a range that
// holds `index` itself.
template <int Lanes>
inline Floats<Lanes> clear_outside(int length, Bits<Lanes> index, int offset,
                                   Floats<Lanes> values) {
  if (offset == 0) return values;
  const Bits<Lanes> inside = offset < 0 ? index >= -offset : index < length - offset;
  return inside ? values : Floats<Lanes>{};
}

// Vectors of four outputs mostly lie between the sides of an image, where no column of the kernel
// is outside. It is worth while to find them; a longer vector has a side in it more often.
template <int Lanes>
constexpr bool kFindsSides = Lanes == 4;

template <int Stride, int Lanes, std::size_t Kernel, class Keep, std::size_t... X>
inline Floats<Lanes> add_shifted(const std::array<Floats<Lanes>, Kernel>& sums,
                                 const std::array<Floats<Lanes>, Kernel>& right, Keep keep,
                                 std::index_sequence<X...>) {
  return (keep(static_cast<int>(X), shifted<Lanes, X / Stride>(sums[X], right[X])) + ...);
}

// Adds the columns' sums for a vector of outputs. Each column is shifted left by its place in the
// kernel. `right` holds the sums of the vector to the right. `at_side` says whether columns may lie
// outside the image, where they count as zero.
template <int Lanes, int Stride, std::size_t Kernel, class AtSide>
inline Floats<Lanes> add_columns(const DepthwiseParams& params, std::ptrdiff_t position,
                                 const std::array<Floats<Lanes>, Kernel>& sums,
                                 const std::array<Floats<Lanes>, Kernel>& right, AtSide at_side) {
  const Bits<Lanes> center = load_bits<Lanes>(params.out_grid.column + position) * Stride;
  const auto keep = [&](int x, Floats<Lanes> column) {
    if constexpr (!at_side) return column;
    return clear_outside<Lanes>(params.in_grid.width, center, x - int{Kernel / 2}, column);
  };
  return add_shifted<Stride, Lanes>(sums, right, keep, std::make_index_sequence<Kernel>{});
}

// Scales a vector of sums, adds the bias, activates, and adds the residual.
template <int Lanes, Activation Act>
inline Floats<Lanes> outputs_of(const DepthwiseParams& params, std::ptrdiff_t position,
                                Floats<Lanes> sum) {
  if (params.step != nullptr) sum = in_register<Lanes>(sum * *params.step);
  const Floats<Lanes> value = activate<Lanes>(Act, sum + broadcast<Lanes>(params.bias));
  if (params.residual == nullptr) return value;
  return value + load<Lanes>(params.residual + position);
}

// Where the last vector begins that any of `count` outputs needs. The column sums of the last
// output may lie in the vector to its right.
template <int Lanes, int Kernel, int Stride>
constexpr std::ptrdiff_t last_vector(std::ptrdiff_t count) {
  return (count - 1 + (Kernel / 2 + Stride - 1) / Stride) / Lanes * Lanes;
}

// Stride 1: treats the rows as one long row. Vectors go from right to left, so that the column sums
// to the right of each vector are known.
template <int Lanes, int Kernel, Activation Act>
void depthwise_stride1(const DepthwiseParams& shared, Range rows) {
  constexpr int kHalf = Kernel / 2;
  const DepthwiseParams params = shared;  // a copy that no store can alias
  const Grid& grid = params.out_grid;
  const std::ptrdiff_t width = grid.width;
  const Range span = grid.span(rows);
  Filter<Lanes, Kernel> filter(params.filter);
  Columns<Lanes, Kernel> right = {};
  std::ptrdiff_t position = span.begin + last_vector<Lanes, Kernel, 1>(span.size());
  // Writes one vector. At an edge, it reads rows outside the image, or `span` may end.
  const auto write = [&](auto at_edge, auto at_side) __attribute__((always_inline)) {
    filter.keep_packed();
    const std::ptrdiff_t left = position - kHalf;
    const auto sums = column_sums<Lanes, Kernel>(filter, [&](int y) {
      const auto pixels = load<Lanes>(params.in + left + (y - kHalf) * width);
      if (!at_edge) return Columns<Lanes, 1>{in_register<Lanes>(pixels)};
      const auto row = load_bits<Lanes>(grid.row + left);
      return Columns<Lanes, 1>{clear_outside<Lanes>(grid.height, row, y - kHalf, pixels)};
    });
    const auto value = outputs_of<Lanes, Act>(
        params, position, add_columns<Lanes, 1>(params, position, sums, right, at_side));
    if (!at_edge) {
      store<Lanes>(params.out + position, value);
    } else if (position < span.end) {
      store_first<Lanes>(params.out + position, value, span.end - position);
    }
    right = sums;
    position -= Lanes;
  };
  const auto write_edge = [&](std::ptrdiff_t first) __attribute__((always_inline)) {
    while (position >= std::max(first, span.begin)) write(std::true_type{}, std::true_type{});
  };
  const auto write_between = [&](std::ptrdiff_t first) __attribute__((always_inline)) {
    first = std::max(first, span.begin);
    while (position >= first) {
      const std::ptrdiff_t column = grid.column[position];
      if (kFindsSides<Lanes> && column + Lanes + kHalf <= width) {
        const std::ptrdiff_t side = std::max(first, position - column + kHalf);
#pragma GCC unroll 2
        while (position >= side) write(std::false_type{}, std::false_type{});
        if (position < first) return;
      }
      write(std::false_type{}, std::true_type{});
    }
  };
  for (int image = (static_cast<int>(rows.end) - 1) / grid.height; position >= span.begin;
       --image) {
    const std::ptrdiff_t top = (image * grid.height + kHalf) * width;
    const std::ptrdiff_t bottom = ((image + 1) * grid.height - kHalf) * width;
    write_edge(std::min(bottom + kHalf, span.end) - Lanes + 1);
    write_between(top + kHalf);
  }
}

// A row of output, for stride 2.
struct OutputRow {
  std::ptrdiff_t image;
  std::ptrdiff_t index;  // in its image
};

// Where the input row under each row of the kernel begins; a row of zeros stands for one outside
// the image.
template <int Kernel>
inline std::array<const float*, Kernel> rows_under_kernel(const DepthwiseParams& params,
                                                          OutputRow row) {
  const Grid& grid = params.in_grid;
  std::array<const float*, Kernel> in;
  for (int y = 0; y < Kernel; ++y) {
    const std::ptrdiff_t index = row.index * 2 + y - Kernel / 2;
    const bool inside = index >= 0 && index < grid.height;
    in[y] = (inside ? params.in + (row.image * grid.height + index) * grid.width : grid.zeros) -
            Kernel / 2;
  }
  return in;
}

// Computes a row of output, from right to left, of which `end` is the end of all rows.
template <int Lanes, int Kernel, Activation Act>
[[gnu::always_inline]] inline void convolve_row(const DepthwiseParams& params,
                                                Filter<Lanes, Kernel>& filter, OutputRow row,
                                                std::ptrdiff_t end) {
  const Grid& grid = params.out_grid;
  const auto in = rows_under_kernel<Kernel>(params, row);
  const std::ptrdiff_t begin = (row.image * grid.height + row.index) * grid.width;
  Columns<Lanes, Kernel> right = {};
  const auto write = [&](std::ptrdiff_t column, auto at_side) __attribute__((always_inline)) {
    filter.keep_packed();
    auto sums = column_sums<Lanes, Kernel>(filter, [&](int y) {
      const auto low = in_register<Lanes>(load<Lanes>(in[y] + 2 * column));
      const auto high = in_register<Lanes>(load<Lanes>(in[y] + 2 * column + Lanes));
      return Columns<Lanes, 2>{every_second_lane<Lanes, 0>(low, high),
                               every_second_lane<Lanes, 1>(low, high)};
    });
    for (auto& sum : sums) sum = in_order<Lanes>(sum);
    const std::ptrdiff_t position = begin + column;
    const auto value = outputs_of<Lanes, Act>(
        params, position, add_columns<Lanes, 2>(params, position, sums, right, at_side));
    if (!at_side) {
      store<Lanes>(params.out + position, value);
    } else if (position < end) {
      store_first<Lanes>(params.out + position, value, end - position);
    }
    right = sums;
  };
  std::ptrdiff_t column = last_vector<Lanes, Kernel, 2>(grid.width);
  if constexpr (kFindsSides<Lanes>) {
    for (; 2 * (column + Lanes - 1) + Kernel / 2 >= params.in_grid.width; column -= Lanes) {
      write(column, std::true_type{});
    }
    for (; column > 0; column -= Lanes) write(column, std::false_type{});
  }
  for (; column >= 0; column -= Lanes) write(column, std::true_type{});
}

// Stride 2: row by row, from top to bottom. The last vector of a row writes wrong values into the
// next row, which then overwrites them.
template <int Lanes, int Kernel, Activation Act>
void depthwise_stride2(const DepthwiseParams& shared, Range rows) {
  const DepthwiseParams params = shared;  // a copy that no store can alias
  const Grid& grid = params.out_grid;
  const std::ptrdiff_t end = grid.span(rows).end;
  Filter<Lanes, Kernel> filter(params.filter);
  OutputRow row{rows.begin / grid.height, rows.begin % grid.height};
  for (std::ptrdiff_t left = rows.size(); left > 0; --left, ++row.index) {
    if (row.index == grid.height) row = {row.image + 1, 0};
    convolve_row<Lanes, Kernel, Act>(params, filter, row, end);
  }
}

// Computes some rows of output with either stride.
template <int Lanes, int Kernel, Activation Act>
void depthwise(const DepthwiseParams& params, int stride, Range rows) {
  stride == 1 ? depthwise_stride1<Lanes, Kernel, Act>(params, rows)
              : depthwise_stride2<Lanes, Kernel, Act>(params, rows);
}

// Computes some rows of output. Only the cheap operations of Ghost modules, which are 3×3 of stride
// 1, and the layers of inverted residuals, which are 3×3, have an activation.
template <int Lanes>
void depthwise(const DepthwiseParams& params, int kernel, int stride, Range rows) {
  switch (params.activation) {
    case Activation::kRelu:
      return depthwise_stride1<Lanes, 3, Activation::kRelu>(params, rows);
    case Activation::kHardSwish:
      return depthwise_stride1<Lanes, 3, Activation::kHardSwish>(params, rows);
    case Activation::kRelu6:
      return depthwise<Lanes, 3, Activation::kRelu6>(params, stride, rows);
    case Activation::kNone:
      return kernel == 3 ? depthwise<Lanes, 3, Activation::kNone>(params, stride, rows)
                         : depthwise<Lanes, 5, Activation::kNone>(params, stride, rows);
  }
}

}  // namespace ghostnet::cpu
