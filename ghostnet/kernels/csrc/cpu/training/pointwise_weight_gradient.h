// The weight gradient of a pointwise convolution: for each pair of channels of two batches, the sum
// over all images and pixels of the product of their planes, out[a][b] = Σ outer[a] · inner[b].
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "simd/vector.h"
#include "training/feature_maps.h"

namespace ghostnet::cpu::training {

// Channels of a register tile, whose sums take 24 of 32 registers with AVX-512, else 12 of 16.
template <int Lanes>
constexpr int kOuter = Lanes == 16 ? 6 : 4;
template <int Lanes>
constexpr int kInner = Lanes == 16 ? 4 : 3;

// A mask of all lanes from `first` on.
template <int Lanes>
Bits<Lanes> lanes_from(std::ptrdiff_t first) {
  Bits<Lanes> bits;
  for (int lane = 0; lane < Lanes; ++lane) bits[lane] = lane >= first ? -1 : 0;
  return bits;
}

// The planes that a register tile reads: some images of consecutive channels of each batch.
struct PlanePairs {
  const float* outer;
  const float* inner;
  std::ptrdiff_t outer_stride;  // from image to image
  std::ptrdiff_t inner_stride;
  std::ptrdiff_t size;  // of a plane
  int images;
};

// Adds to sums[inner][outer], vectors whose lanes are still to be added up.
template <int Lanes, int Outer, int Inner>
void add_products(const PlanePairs& planes, Floats<Lanes>* sums) {
  Floats<Lanes> tile[Inner][Outer];
#pragma GCC unroll 16
  for (int b = 0; b < Inner; ++b) {
#pragma GCC unroll 16
    for (int a = 0; a < Outer; ++a) tile[b][a] = sums[b * Outer + a];
  }
  const std::ptrdiff_t size = planes.size;
  const std::ptrdiff_t rest = size % Lanes;
  const auto add = [&](auto load_outer, auto load_inner) {
    Floats<Lanes> inner[Inner];
#pragma GCC unroll 16
    for (int b = 0; b < Inner; ++b) inner[b] = load_inner(b * size);
#pragma GCC unroll 16
    for (int a = 0; a < Outer; ++a) {
      const Floats<Lanes> outer = load_outer(a * size);
#pragma GCC unroll 16
      for (int b = 0; b < Inner; ++b) tile[b][a] += outer * inner[b];
    }
  };
  for (int image = 0; image < planes.images; ++image) {
    const float* outer = planes.outer + image * planes.outer_stride;
    const float* inner = planes.inner + image * planes.inner_stride;
    for (std::ptrdiff_t i = 0; i + Lanes <= size; i += Lanes) {
      add([&](std::ptrdiff_t row) { return load<Lanes>(outer + row + i); },
          [&](std::ptrdiff_t row) { return load<Lanes>(inner + row + i); });
    }
    if (rest > 0 && size > Lanes) {  // the last vector overlaps the one before: mask the overlap
      const Bits<Lanes> fresh = lanes_from<Lanes>(Lanes - rest);
      add(
          [&](std::ptrdiff_t row) {
            return keep<Lanes>(reinterpret_cast<const std::int32_t*>(&fresh),
                               load<Lanes>(outer + row + size - Lanes));
          },
          [&](std::ptrdiff_t row) { return load<Lanes>(inner + row + size - Lanes); });
    } else if (rest > 0) {
      add([&](std::ptrdiff_t row) { return load_first<Lanes>(outer + row, rest); },
          [&](std::ptrdiff_t row) { return load_first<Lanes>(inner + row, rest); });
    }
  }
#pragma GCC unroll 16
  for (int b = 0; b < Inner; ++b) {
#pragma GCC unroll 16
    for (int a = 0; a < Outer; ++a) sums[b * Outer + a] = tile[b][a];
  }
}

template <int Lanes>
using AddProducts = void (*)(const PlanePairs& planes, Floats<Lanes>* sums);

template <int Lanes, int Inner, int... Index>
constexpr std::array<AddProducts<Lanes>, kOuter<Lanes>> add_products_row(
    std::integer_sequence<int, Index...>) {
  return {&add_products<Lanes, Index + 1, Inner>...};
}

// [inner channels - 1][outer channels - 1]
template <int Lanes, int... Index>
constexpr std::array<std::array<AddProducts<Lanes>, kOuter<Lanes>>, sizeof...(Index)>
add_products_table(std::integer_sequence<int, Index...>) {
  return {add_products_row<Lanes, Index + 1>(std::make_integer_sequence<int, kOuter<Lanes>>{})...};
}

// The two batches, and where the sum for channels (a, b) goes:
// out[a · outer_stride + b · inner_stride].
struct ChannelProducts {
  ConstFeatureMaps outer;
  ConstFeatureMaps inner;
  float* out;
  std::ptrdiff_t outer_stride;
  std::ptrdiff_t inner_stride;
};

// Computes the sums for `count` outer channels from `first` on and all inner channels. Images go in
// groups whose inner planes stay in the cache while the outer channels run over them.
template <int Lanes>
void channel_products(const ChannelProducts& products, int first, int count) {
  static constexpr auto kTable =
      add_products_table<Lanes>(std::make_integer_sequence<int, kInner<Lanes>>{});
  constexpr std::ptrdiff_t kCachedFloats = 1 << 17;
  const Shape& shape = products.inner.shape;
  const int group = static_cast<int>(std::max<std::ptrdiff_t>(1, kCachedFloats / shape.image()));
  std::vector<Floats<Lanes>> sums(shape.channels * count, Floats<Lanes>{});
  for (int image = 0; image < shape.images; image += group) {
    for (int b = 0; b < shape.channels; b += kInner<Lanes>) {
      const ConstChannel outer = products.outer.channel(first);
      const ConstChannel inner = products.inner.channel(b);
      const PlanePairs planes{outer.plane(image), inner.plane(image),
                              outer.stride,       inner.stride,
                              inner.size,         std::min(group, shape.images - image)};
      kTable[std::min(kInner<Lanes>, shape.channels - b) - 1][count - 1](planes, &sums[b * count]);
    }
  }
  for (int b = 0; b < shape.channels; ++b) {
    for (int a = 0; a < count; ++a) {
      products.out[(first + a) * products.outer_stride + b * products.inner_stride] =
          sum<Lanes>(sums[b * count + a]);
    }
  }
}

}  // namespace ghostnet::cpu::training
