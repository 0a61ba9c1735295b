// GhostNetV2's attention: gates for the output of a Ghost module, from its input at half of the
// height and width. After a pointwise convolution, each gate needs nothing but its own channel: a
// convolution along the rows, one along the columns, and a sigmoid.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/activation.h"
#include "ops/depthwise.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// How gates grow to the size of a map: to the nearest of them, or interpolated with aligned
// corners.
enum class Upsampling { kNone = 0, kNearest = 1, kBilinear = 2 };

// A depthwise convolution of 1×5 or 5×1 pixels, padded by two.
struct Strip {
  static constexpr int kTaps = 5;
  static constexpr int kHalf = kTaps / 2;

  const float* weights;  // [channel][kTaps]
  const float* bias;

  const float* filter(std::ptrdiff_t channel) const { return weights + channel * kTaps; }
  Strip from(std::ptrdiff_t channel) const { return {filter(channel), bias + channel}; }
};

// `parts` are two halves of the output channels, like those of the Ghost module.
struct Attention {
  Upsampling upsampling;
  Pointwise parts[2];
  Strip horizontal;
  Strip vertical;
};

// For each row (or column) of a map, the one or two rows of gates that it takes its gates from.
struct GateSources {
  const std::int32_t* near;
  const std::int32_t* far;
  const float* far_weight;  // from 0 to 1

  // The rows of gates that some rows of the map take theirs from.
  Range under(Range rows) const { return {near[rows.begin], far[rows.end - 1] + 1}; }
};

// The gates of a map. Columns beyond the width of the map have sources too, for a vector to load.
struct GateGrid {
  Grid grid;
  GateSources rows;
  GateSources columns;
};

// Averages 2×2 pixels of a plane for some rows of the result, from top to bottom. The last vector
// of a row writes wrong values beyond its end, which the next row or plane overwrites.
template <int Lanes>
void pool_plane(const float* in, const Grid& in_grid, float* out, const Grid& grid, Range rows) {
  for (int image = 0; image < grid.images; ++image) {
    const Range own = grid.images == 1 ? rows : grid.image_rows(image);
    const float* upper =
        in + (image * in_grid.height + 2 * (own.begin - image * grid.height)) * in_grid.width;
    for (std::ptrdiff_t row = own.begin; row < own.end; ++row, upper += 2 * in_grid.width) {
      const float* const lower = upper + in_grid.width;
      for (std::ptrdiff_t x = 0; x < grid.width; x += Lanes) {
        const auto left = load<Lanes>(upper + 2 * x) + load<Lanes>(lower + 2 * x);
        const auto right = load<Lanes>(upper + 2 * x + Lanes) + load<Lanes>(lower + 2 * x + Lanes);
        const auto sum =
            every_second_lane<Lanes, 0>(left, right) + every_second_lane<Lanes, 1>(left, right);
        store<Lanes>(out + row * grid.width + x, in_order<Lanes>(sum) * 0.25F);
      }
    }
  }
}

// The pixels under each tap of a strip, for a vector of positions.
template <int Lanes>
using TapPixels = std::array<Floats<Lanes>, Strip::kTaps>;

// Along the rows, where taps are one position apart, the vectors on both sides hold what shifts in.
template <int Lanes>
inline TapPixels<Lanes> pixels_in_row(const float* center) {
  const auto before = in_register<Lanes>(load<Lanes>(center - Lanes));
  const auto here = in_register<Lanes>(load<Lanes>(center));
  const auto after = in_register<Lanes>(load<Lanes>(center + Lanes));
  return {shifted<Lanes, Lanes - 2>(before, here), shifted<Lanes, Lanes - 1>(before, here), here,
          shifted<Lanes, 1>(here, after), shifted<Lanes, 2>(here, after)};
}

template <int Lanes>
inline TapPixels<Lanes> pixels_in_column(const float* center, std::ptrdiff_t width) {
  TapPixels<Lanes> pixels;
#pragma GCC unroll 8
  for (int tap = 0; tap < Strip::kTaps; ++tap) {
    pixels[tap] = load<Lanes>(center + (tap - Strip::kHalf) * width);
  }
  return pixels;
}

// Convolves a vector of positions; `index` is the row (or column) of each among `length`.
template <int Lanes>
inline Floats<Lanes> strip_sum(const float* filter, float bias, const TapPixels<Lanes>& pixels,
                               int length, Bits<Lanes> index) {
  Floats<Lanes> sum = broadcast<Lanes>(bias);
#pragma GCC unroll 8
  for (int tap = 0; tap < Strip::kTaps; ++tap) {
    sum += filter[tap] * clear_outside<Lanes>(length, index, tap - Strip::kHalf, pixels[tap]);
  }
  return sum;
}

// Convolves the planes of some channels along the rows, in whole vectors from the first position of
// the planes on. Channels are the inner loop, since they share what tells where an image ends.
template <int Lanes>
void convolve_rows(const Strip& strip, Range channels, Planes in, const Grid& grid, Planes out,
                   Range span) {
  const Strip layer = strip.from(channels.begin);  // a copy that no store can alias
  const int width = grid.width;
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    const auto column = load_bits<Lanes>(grid.column + p);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const auto pixels = pixels_in_row<Lanes>(in.plane(c) + p);
      const auto sum = strip_sum<Lanes>(layer.filter(c), layer.bias[c], pixels, width, column);
      store<Lanes>(out.plane(c) + p, sum);
    }
  }
}

// Convolves the same along the columns, and makes gates of the sums.
template <int Lanes>
void convolve_columns(const Strip& strip, Range channels, Planes in, const Grid& grid, Planes gates,
                      Range span) {
  const Strip layer = strip.from(channels.begin);  // a copy that no store can alias
  const int width = grid.width;
  const int height = grid.height;
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    const auto row = load_bits<Lanes>(grid.row + p);
    for (std::ptrdiff_t c = 0; c < channels.size(); ++c) {
      const auto pixels = pixels_in_column<Lanes>(in.plane(c) + p, width);
      const auto sum = strip_sum<Lanes>(layer.filter(c), layer.bias[c], pixels, height, row);
      store<Lanes>(gates.plane(c) + p, sigmoid<Lanes>(sum));
    }
  }
}

// Where a vector of columns takes its gates from, in a row of gates from `first` on.
template <int Lanes>
struct ColumnSources {
  std::int32_t first;
  Bits<Lanes> near;
  Bits<Lanes> far;
  Floats<Lanes> far_weight;

  ColumnSources(const GateSources& columns, std::ptrdiff_t column)
      : first(columns.near[column]),
        near(load_bits<Lanes>(columns.near + column) - first),
        far(load_bits<Lanes>(columns.far + column) - first),
        far_weight(load<Lanes>(columns.far_weight + column)) {}
};

template <int Lanes>
inline Floats<Lanes> interpolated(Floats<Lanes> near, Floats<Lanes> far, Floats<Lanes> far_weight) {
  return near + (far - near) * far_weight;
}

// The gates of a vector of columns in a row of the map.
template <int Lanes, Upsampling Kind>
inline Floats<Lanes> gates_at(const float* gates, const GateGrid& grid, std::ptrdiff_t row,
                              const ColumnSources<Lanes>& columns) {
  const auto row_of = [&](std::int32_t source) {
    return load<Lanes>(gates + std::ptrdiff_t{source} * grid.grid.width + columns.first);
  };
  Floats<Lanes> values = row_of(grid.rows.near[row]);
  if constexpr (Kind == Upsampling::kNearest) return permuted<Lanes>(values, columns.near);
  values = interpolated<Lanes>(values, row_of(grid.rows.far[row]),
                               broadcast<Lanes>(grid.rows.far_weight[row]));
  return interpolated<Lanes>(permuted<Lanes>(values, columns.near),
                             permuted<Lanes>(values, columns.far), columns.far_weight);
}

// Multiplies some rows of a plane by their gates, from right to left: the last vector of a row
// writes wrong values into the next row, which are overwritten later.
template <int Lanes, Upsampling Kind>
void multiply_rows(const float* gates, const GateGrid& grid, const float* in, int width, float* out,
                   Range rows) {
  const std::ptrdiff_t end = rows.end * width;
  for (std::ptrdiff_t x = (width - 1) / Lanes * Lanes; x >= 0; x -= Lanes) {
    const ColumnSources<Lanes> columns(grid.columns, x);
    for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
      const std::ptrdiff_t position = row * width + x;
      const auto gate = gates_at<Lanes, Kind>(gates, grid, row, columns);
      store_first<Lanes>(out + position, load<Lanes>(in + position) * gate, end - position);
    }
  }
}

// The nearest gates of consecutive positions of a narrow map, whose rows are too short for vectors
// of their own: for each vector of positions, its first gate and which of the gates from there on
// each lane takes.
struct GateLanes {
  std::int32_t* first;
  std::int32_t* lanes;
};

// Whether the gates of a vector of positions always fit into a vector.
template <int Lanes>
bool has_gate_lanes(Upsampling upsampling, int width) {
  return upsampling == Upsampling::kNearest && width <= 2 * Lanes;
}

template <int Lanes>
void find_gate_lanes(const GateGrid& grid, int width, Range rows, GateLanes found) {
  std::int32_t* next = found.lanes;
  for (std::ptrdiff_t row = rows.begin; row < rows.end; ++row) {
    const std::int32_t first = grid.rows.near[row] * grid.grid.width;
    for (int column = 0; column < width; ++column) *next++ = first + grid.columns.near[column];
  }
  std::fill_n(next, Lanes, next[-1]);
  for (std::int32_t* lanes = found.lanes; lanes < next; lanes += Lanes) {
    const std::int32_t first = *std::min_element(lanes, lanes + Lanes);
    for (int lane = 0; lane < Lanes; ++lane) lanes[lane] -= first;
    *found.first++ = first;
  }
}

// Multiplies a span of a plane by gates of such lanes.
template <int Lanes>
void multiply_span(const float* gates, GateLanes found, const float* in, float* out, Range span) {
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    const auto nearby = load<Lanes>(gates + *found.first++);
    const auto gate = permuted<Lanes>(nearby, load_bits<Lanes>(found.lanes + p - span.begin));
    store_first<Lanes>(out + p, load<Lanes>(in + p) * gate, span.end - p);
  }
}

}  // namespace ghostnet::cpu
