// Depthwise k×k convolution of one plane, padded by k / 2, stride 1 or 2.
//
// For each column of the kernel, a pack of pixels meets the weights of that column in all rows; the
// sums of the columns are then moved to where they belong and added. So each pixel is loaded once
// for a pack of outputs, and lanes move once for a column, not for each weight.
#pragma once

#include <array>
#include <utility>

#include "ops/activation.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

struct Depthwise {
  int kernel;  // 3 or 5
  int stride;  // 1 or 2
  const float* weights;  // [channels][kernel][kernel]
  const float* bias;

  const float* filter(std::ptrdiff_t channel) const {
    return weights + channel * kernel * kernel;
  }
};

// One plane in, one plane out. `residual`, where there is one, is added after the activation and
// lies as `out` does.
struct DepthwisePlane {
  const float* in;
  Grid in_grid;
  const float* filter;
  float bias;
  Activation activation;
  const float* residual;
  float* out;
  Grid out_grid;
};

// A value for each column of the kernel, or for each phase of the pixels.
template <int Lanes, int Count>
using Columns = std::array<Floats<Lanes>, Count>;

// The weights of a kernel, row by row.
template <int Lanes, int Kernel>
using Filter = std::array<Columns<Lanes, Kernel>, Kernel>;

template <int Lanes, int Kernel>
inline Filter<Lanes, Kernel> load_filter(const float* weights) {
  Filter<Lanes, Kernel> filter;
#pragma GCC unroll 32
  for (int tap = 0; tap < Kernel * Kernel; ++tap) {
    filter[tap / Kernel][tap % Kernel] = broadcast<Lanes>(weights[tap]);
  }
  return filter;
}

// The sums of the columns; `row_at(y)` are the phases of the pixels under the kernel's row y.
template <int Lanes, int Kernel, class RowAt>
inline Columns<Lanes, Kernel> column_sums(const Filter<Lanes, Kernel>& filter, RowAt row_at) {
  Columns<Lanes, Kernel> sums;
#pragma GCC unroll 8
  for (int y = 0; y < Kernel; ++y) {
    const auto phases = row_at(y);
#pragma GCC unroll 8
    for (int x = 0; x < Kernel; ++x) {
      const Floats<Lanes> product = filter[y][x] * phases[x % phases.size()];
      sums[x] = y == 0 ? product : sums[x] + product;
    }
  }
  return sums;
}

// The values whose row or column, `beside` rows or columns from `from`, is in a picture of `length`,
// and zeros for the others.
template <int Lanes>
inline Floats<Lanes> within(int length, Bits<Lanes> from, int beside, Floats<Lanes> values) {
  if (beside == 0) return values;
  const Bits<Lanes> inside = beside < 0 ? from >= -beside : from < length - beside;
  return inside ? values : Floats<Lanes>{};
}

template <int Lanes, int Stride, std::size_t Kernel, std::size_t... X>
inline Floats<Lanes> add_moved(Bits<Lanes> under, int width,
                               const std::array<Floats<Lanes>, Kernel>& sums,
                               const std::array<Floats<Lanes>, Kernel>& right,
                               std::index_sequence<X...>) {
  constexpr int kHalf = Kernel / 2;
  return (within<Lanes>(width, under, static_cast<int>(X) - kHalf,
                        moved<Lanes, X / Stride>(sums[X], right[X])) +
          ...);
}

// The columns' sums at some positions of the output added up, each moved to the left by its place
// in the kernel and without those of columns outside the picture; `right` are the sums of the pack
// to the right.
template <int Lanes, int Stride, std::size_t Kernel>
inline Floats<Lanes> add_columns(const DepthwisePlane& plane, std::ptrdiff_t position,
                                 const std::array<Floats<Lanes>, Kernel>& sums,
                                 const std::array<Floats<Lanes>, Kernel>& right) {
  const Bits<Lanes> under = load_bits<Lanes>(plane.out_grid.column + position) * Stride;
  return add_moved<Lanes, Stride>(under, plane.in_grid.width, sums, right,
                                  std::make_index_sequence<Kernel>{});
}

// Finishes a pack of outputs, whose sum lacks the bias, and stores those before `end`.
template <int Lanes, Activation Act>
inline void store_outputs(const DepthwisePlane& plane, std::ptrdiff_t position, std::ptrdiff_t end,
                          Floats<Lanes> sum) {
  Floats<Lanes> value = activate<Lanes>(Act, sum + broadcast<Lanes>(plane.bias));
  if (plane.residual != nullptr) value += load<Lanes>(plane.residual + position);
  if (position < end) store_first<Lanes>(plane.out + position, value, end - position);
}

// Where the rows under each row of the kernel begin; those outside the picture are zeros.
template <int Kernel>
inline void rows_under_kernel(const DepthwisePlane& plane, std::ptrdiff_t row,
                              const float* (&in)[Kernel]) {
  const Grid& grid = plane.in_grid;
  const std::ptrdiff_t image = row / plane.out_grid.height;
  const std::ptrdiff_t top = row % plane.out_grid.height * 2 - Kernel / 2;
  for (int y = 0; y < Kernel; ++y) {
    const bool inside = top + y >= 0 && top + y < grid.height;
    in[y] = (inside ? plane.in + (image * grid.height + top + y) * grid.width : grid.zeros) -
            Kernel / 2;
  }
}

// Where the last pack begins that any of `count` outputs needs: the sums of the columns of the last
// one may be in the pack to the right of it.
template <int Lanes, int Kernel, int Stride>
constexpr std::ptrdiff_t last_pack(std::ptrdiff_t count) {
  return (count - 1 + (Kernel / 2 + Stride - 1) / Stride) / Lanes * Lanes;
}

// Stride 1: the rows as one long row, whose packs go from right to left, so that the sums to the
// right of each are there.
template <int Lanes, int Kernel, Activation Act>
void depthwise_flat(const DepthwisePlane& shared, Range rows) {
  constexpr int kHalf = Kernel / 2;
  const DepthwisePlane plane = shared;
  const Grid& grid = plane.out_grid;
  const std::ptrdiff_t width = grid.width;
  const Range span = grid.span(rows);
  const auto filter = load_filter<Lanes, Kernel>(plane.filter);
  Columns<Lanes, Kernel> right = {};
  std::ptrdiff_t position = span.begin + last_pack<Lanes, Kernel, 1>(span.size());
  // The packs from `first` on; those at an edge read rows outside the picture.
  const auto write_from = [&](std::ptrdiff_t first, auto at_edge) {
    for (; position >= std::max(first, span.begin); position -= Lanes) {
      const std::ptrdiff_t left = position - kHalf;
      const auto sums = column_sums<Lanes, Kernel>(filter, [&](int y) {
        const auto pixels = load<Lanes>(plane.in + left + (y - kHalf) * width);
        if (!at_edge) return Columns<Lanes, 1>{in_register<Lanes>(pixels)};
        const auto row = load_bits<Lanes>(grid.row + left);
        return Columns<Lanes, 1>{within<Lanes>(grid.height, row, y - kHalf, pixels)};
      });
      store_outputs<Lanes, Act>(plane, position, span.end,
                                add_columns<Lanes, 1>(plane, position, sums, right));
      right = sums;
    }
  };
  for (int image = (static_cast<int>(rows.end) - 1) / grid.height; position >= span.begin;
       --image) {
    const std::ptrdiff_t top = (image * grid.height + kHalf) * width;
    const std::ptrdiff_t bottom = ((image + 1) * grid.height - kHalf) * width;
    write_from(bottom - Lanes + kHalf + 1, std::true_type{});
    write_from(top + kHalf, std::false_type{});
  }
}

// Stride 2: row by row. What a pack computes beyond the end of its row is wrong. It lands in the
// next row and is overwritten, because rows go from top to bottom.
template <int Lanes, int Kernel, Activation Act>
void depthwise_halving(const DepthwisePlane& shared, Range rows) {
  const DepthwisePlane plane = shared;
  const Grid& grid = plane.out_grid;
  const std::ptrdiff_t end = grid.span(rows).end;
  const auto filter = load_filter<Lanes, Kernel>(plane.filter);
  for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
    const float* in[Kernel];
    rows_under_kernel(plane, row, in);
    Columns<Lanes, Kernel> right = {};
    const std::ptrdiff_t begin = row * grid.width;
    for (std::ptrdiff_t column = last_pack<Lanes, Kernel, 2>(grid.width); column >= 0;
         column -= Lanes) {
      const auto sums = column_sums<Lanes, Kernel>(filter, [&](int y) {
        const auto low = in_register<Lanes>(load<Lanes>(in[y] + 2 * column));
        const auto high = in_register<Lanes>(load<Lanes>(in[y] + 2 * column + Lanes));
        return Columns<Lanes, 2>{evens<Lanes>(low, high), odds<Lanes>(low, high)};
      });
      store_outputs<Lanes, Act>(plane, begin + column, end,
                                add_columns<Lanes, 2>(plane, begin + column, sums, right));
      right = sums;
    }
  }
}

// Activations follow cheap operations only, which are 3×3 with stride 1.
template <int Lanes>
void depthwise(const DepthwisePlane& plane, int kernel, int stride, Range rows) {
  constexpr Activation kNone = Activation::kNone;
  if (plane.activation == Activation::kRelu) {
    depthwise_flat<Lanes, 3, Activation::kRelu>(plane, rows);
  } else if (plane.activation == Activation::kHardSwish) {
    depthwise_flat<Lanes, 3, Activation::kHardSwish>(plane, rows);
  } else if (kernel == 3) {
    stride == 1 ? depthwise_flat<Lanes, 3, kNone>(plane, rows)
                : depthwise_halving<Lanes, 3, kNone>(plane, rows);
  } else {
    stride == 1 ? depthwise_flat<Lanes, 5, kNone>(plane, rows)
                : depthwise_halving<Lanes, 5, kNone>(plane, rows);
  }
}

}  // namespace ghostnet::cpu
