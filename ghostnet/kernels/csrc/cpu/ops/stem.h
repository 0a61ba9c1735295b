// The stem: 3×3 convolution with stride 2 of an image, its batch norm folded in, and activation.
//
// The image is split into its phases, the planes of its even and odd rows under each column of the
// kernel. Each of the 27 taps of the kernel is then a phase, moved by at most one row, and the
// convolution is a pointwise one. A few rows are split at a time, so that their phases stay in the
// first-level cache.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/activation.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/prefetch.h"

namespace ghostnet::cpu {

// The weights of a quantized stem are whole numbers, and the bias of its taps is zero: their sums
// are scaled afterwards.
struct Stem {
  static constexpr int kTaps = 27;  // [color][row][column]
  Pointwise taps;
  Quantizer quantizer;
  const float* steps;  // of each output of a quantized stem
  const float* bias;   // of the same

  bool is_quantized() const { return steps != nullptr; }
};

// Planes [color][row][column].
struct Image {
  const float* pixels;
  int height;
  int width;
};

// Planes [color][row parity][kernel column] of some rows of the stem's output, each with one row
// before them.
class PhaseLayout {
 public:
  static constexpr int kPlanes = 18;

  explicit PhaseLayout(const Grid& grid)
      : rows_(std::clamp<std::ptrdiff_t>(kPositions / grid.width, 1, grid.rows())),
        stride_(odd_cache_lines((rows_ + 1) * grid.width)) {}

  std::ptrdiff_t rows() const { return rows_; }
  std::ptrdiff_t size() const { return kPlanes * stride_; }

  // Where the plane of a phase begins, with the row before the first.
  std::ptrdiff_t begin(int color, int row_parity, int column) const {
    return ((color * 2 + row_parity) * 3 + column) * stride_;
  }

 private:
  // 18 planes of so many floats fill a first-level cache of 32 KiB.
  static constexpr std::ptrdiff_t kPositions = 460;

  // An odd number of cache lines, so that the planes of one position lie in different cache sets.
  static std::ptrdiff_t odd_cache_lines(std::ptrdiff_t positions) {
    return (positions + 2 * kMaxLanes - 1) / (2 * kMaxLanes) * (2 * kMaxLanes) + kMaxLanes;
  }

  std::ptrdiff_t rows_;
  std::ptrdiff_t stride_;
};

// Writes one row of one phase: every second pixel from column `first` on. Columns outside the
// image, -1 among them, are zero.
template <int Lanes>
void split_row(const float* in, int width, int first, float* out, int columns) {
  int column = 0;
  if (first < 0) out[column++] = 0;
  for (; first + 2 * (column + Lanes) <= width; column += Lanes) {
    const float* const from = in + first + 2 * column;
    const auto pixels = every_second_lane<Lanes, 0>(load<Lanes>(from), load<Lanes>(from + Lanes));
    store<Lanes>(out + column, in_order<Lanes>(pixels));
  }
  for (; column < columns; ++column) {
    const int from = first + 2 * column;
    out[column] = from < width ? in[from] : 0;
  }
}

// Floats of a row of the image as a quantized stem reads it. `grid` is that of the output.
constexpr std::ptrdiff_t quantized_row_size(const Grid& grid) { return 2 * grid.width + kMaxLanes; }

struct StemParams {
  const Stem& layer;
  Activation activation;
  Image image;
  const Grid& grid;  // of the output
  Planes out;
  float* phases;     // scratch memory of PhaseLayout(grid).size() floats
  float* quantized;  // the same of quantized_row_size(grid) floats, for a quantized stem
  Prefetcher* prefetcher;
};

// Writes the phases of some rows of output and of the row before them.
template <int Lanes>
void split_phases(const StemParams& params, const PhaseLayout& layout, Range rows) {
  const Image& image = params.image;
  const std::ptrdiff_t width = params.grid.width;
  for (int plane = 0; plane < PhaseLayout::kPlanes; plane += 3) {
    const int color = plane / 6;
    const int row_parity = plane / 3 % 2;
    for (std::ptrdiff_t row = rows.begin - 1; row < rows.end; ++row) {
      const std::ptrdiff_t from = 2 * row + row_parity;
      const bool inside = from >= 0 && from < image.height;
      const float* in =
          image.pixels + (std::ptrdiff_t{color} * image.height + (inside ? from : 0)) * image.width;
      if (params.layer.is_quantized()) {
        quantize_row<Lanes>(params.layer.quantizer, in, params.quantized, image.width);
        in = params.quantized;
      }
      for (int x = 0; x < 3; ++x) {
        float* const out = params.phases + layout.begin(color, row_parity, x);
        split_row<Lanes>(in, inside ? image.width : 0, x - 1, out + (row - rows.begin + 1) * width,
                         params.grid.width);
      }
    }
  }
}

// Where each tap of the kernel finds its plane among the phases.
inline void tap_offsets(const Grid& grid, const PhaseLayout& layout,
                        std::ptrdiff_t (&offsets)[Stem::kTaps]) {
  for (int tap = 0; tap < Stem::kTaps; ++tap) {
    const int y = tap / 3 % 3;
    const int x = tap % 3;
    offsets[tap] = layout.begin(tap / 9, y != 1, x) + (y == 0 ? 0 : grid.width);
  }
}

// Scales the sums of a quantized stem.
template <int Lanes>
void scale_channels(const StemParams& params, Range channels, Range span) {
  const Stem& layer = params.layer;
  for (std::ptrdiff_t c = channels.begin; c < channels.end; ++c) {
    scale_sums<Lanes>(layer.steps[c], layer.bias[c], params.activation, params.out.plane(c), span);
  }
}

// Computes some rows of output.
template <int Lanes>
void stem(const StemParams& params, Range rows) {
  const Pointwise& taps = params.layer.taps;
  const Activation activation = params.layer.is_quantized() ? Activation::kNone : params.activation;
  const PhaseLayout layout(params.grid);
  std::ptrdiff_t offsets[Stem::kTaps];
  tap_offsets(params.grid, layout, offsets);
  const ChannelTiles tiles = Pointwise::tiles_of(taps.out);
  for (std::ptrdiff_t row = rows.begin; row < rows.end; row += layout.rows()) {
    const Range part{row, std::min(rows.end, row + layout.rows())};
    const Range span = params.grid.span(part);
    split_phases<Lanes>(params, layout, part);
    for (int tile = 0; tile < tiles.count(); ++tile) {
      const Range channels = tiles.tile(tile);
      const ChannelTileParams<TapOffsets> tile_params{params.phases - span.begin,
                                                      offsets,
                                                      Stem::kTaps,
                                                      taps.weights + channels.begin * Stem::kTaps,
                                                      taps.bias + channels.begin,
                                                      activation,
                                                      params.out.from(channels.begin),
                                                      params.prefetcher};
      channel_tile<Lanes>(tile_params, channels.size(), span);
      if (params.layer.is_quantized()) scale_channels<Lanes>(params, channels, span);
    }
  }
}

}  // namespace ghostnet::cpu
