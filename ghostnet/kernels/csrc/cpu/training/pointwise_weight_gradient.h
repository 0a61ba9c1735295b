// How much the channels of two batches go together: out[a][b] = Σ over images and pixels of
// a's plane · b's plane. The weight gradient of a pointwise convolution.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "training/feature_maps.h"
#include "simd/vector.h"

namespace ghostnet::cpu::training {

constexpr int kOuter = 6;
template <int Lanes>
constexpr int kInner = Lanes == 16 ? 4 : 2;

// All bits set from the place `first` on, for the last pack of a row.
template <int Lanes>
Bits<Lanes> lanes_from(std::ptrdiff_t first) {
  Bits<Lanes> bits;
  for (int lane = 0; lane < Lanes; ++lane) bits[lane] = lane >= first ? -1 : 0;
  return bits;
}

// Some images of a few channels of each batch.
struct PlanePairs {
  const float* outer;
  const float* inner;
  std::ptrdiff_t outer_stride;  // from image to image
  std::ptrdiff_t inner_stride;
  std::ptrdiff_t size;  // of a plane
  int images;
};

// Adds to sums[inner][outer], which are whole packs.
template <int Lanes, int Outer, int Inner>
void channel_product_tile(const PlanePairs& planes, Floats<Lanes>* sums) {
  Floats<Lanes> tile[Inner][Outer];
  for (int b = 0; b < Inner; ++b) {
    for (int a = 0; a < Outer; ++a) tile[b][a] = sums[b * Outer + a];
  }
  const std::ptrdiff_t size = planes.size;
  const std::ptrdiff_t rest = size % Lanes;
  const auto add = [&](auto load_outer, auto load_inner) {
    Floats<Lanes> outer[Outer];
    for (int a = 0; a < Outer; ++a) outer[a] = load_outer(a * size);
    for (int b = 0; b < Inner; ++b) {
      const Floats<Lanes> inner = load_inner(b * size);
      for (int a = 0; a < Outer; ++a) tile[b][a] += outer[a] * inner;
    }
  };
  for (int image = 0; image < planes.images; ++image) {
    const float* outer = planes.outer + image * planes.outer_stride;
    const float* inner = planes.inner + image * planes.inner_stride;
    for (std::ptrdiff_t i = 0; i + Lanes <= size; i += Lanes) {
      add([&](std::ptrdiff_t row) { return load<Lanes>(outer + row + i); },
          [&](std::ptrdiff_t row) { return load<Lanes>(inner + row + i); });
    }
    if (rest > 0 && size > Lanes) {  // the last pack once more, without what it did before
      const Bits<Lanes> fresh = lanes_from<Lanes>(Lanes - rest);
      add([&](std::ptrdiff_t row) {
            return keep<Lanes>(reinterpret_cast<const std::int32_t*>(&fresh),
                               load<Lanes>(outer + row + size - Lanes));
          },
          [&](std::ptrdiff_t row) { return load<Lanes>(inner + row + size - Lanes); });
    } else if (rest > 0) {
      add([&](std::ptrdiff_t row) { return load_first<Lanes>(outer + row, rest); },
          [&](std::ptrdiff_t row) { return load_first<Lanes>(inner + row, rest); });
    }
  }
  for (int b = 0; b < Inner; ++b) {
    for (int a = 0; a < Outer; ++a) sums[b * Outer + a] = tile[b][a];
  }
}

template <int Lanes>
using ChannelProductTile = void (*)(const PlanePairs& planes, Floats<Lanes>* sums);

template <int Lanes, int Inner, int... Index>
constexpr std::array<ChannelProductTile<Lanes>, kOuter> channel_product_tiles(
    std::integer_sequence<int, Index...>) {
  return {&channel_product_tile<Lanes, Index + 1, Inner>...};
}

template <int Lanes, int... Index>
constexpr std::array<std::array<ChannelProductTile<Lanes>, kOuter>, sizeof...(Index)>
channel_product_table(std::integer_sequence<int, Index...>) {
  return {channel_product_tiles<Lanes, Index + 1>(std::make_integer_sequence<int, kOuter>{})...};
}

// The rows of the result for a few channels of `outer`. Images go in groups whose planes of `inner`
// stay in the cache while the channels of `outer` run over them.
template <int Lanes>
void channel_products(ConstMaps outer, int first, int count, ConstMaps inner, float* out,
               std::ptrdiff_t outer_step, std::ptrdiff_t inner_step) {
  static constexpr auto kTiles =
      channel_product_table<Lanes>(std::make_integer_sequence<int, kInner<Lanes>>{});
  constexpr std::ptrdiff_t kCached = 1 << 17;
  const Shape& shape = inner.shape;
  const int group =
      static_cast<int>(std::max<std::ptrdiff_t>(1, kCached / shape.image()));
  std::vector<Floats<Lanes>> sums(shape.channels * count, Floats<Lanes>{});
  for (int image = 0; image < shape.images; image += group) {
    for (int b = 0; b < shape.channels; b += kInner<Lanes>) {
      const ConstChannel from = inner.channel(b);
      const ConstChannel to = outer.channel(first);
      const PlanePairs planes{to.plane(image), from.plane(image), to.stride, from.stride,
                              from.size, std::min(group, shape.images - image)};
      kTiles[std::min(kInner<Lanes>, shape.channels - b) - 1][count - 1](planes, &sums[b * count]);
    }
  }
  for (int b = 0; b < shape.channels; ++b) {
    for (int a = 0; a < count; ++a) {
      out[(first + a) * outer_step + b * inner_step] = sum<Lanes>(sums[b * count + a]);
    }
  }
}

}  // namespace ghostnet::cpu::training
