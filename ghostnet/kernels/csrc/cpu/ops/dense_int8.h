// Fully connected layer on bytes, for quantized networks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "ops/dense.h"
#include "ops/quantization.h"
#include "ops/range.h"
#include "simd/dot_product.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// The steps of one row of channels for each image, as bytes, `stride` words apart.
struct ByteRows {
  std::int32_t* words;
  std::ptrdiff_t stride;

  std::int32_t* row(std::ptrdiff_t image) const { return words + image * stride; }
  ByteRows from(std::ptrdiff_t image) const { return {row(image), stride}; }
};

template <int Lanes>
void quantize_rows(const Dense& layer, ChannelRows in, int images, ByteRows out) {
  const Quantizer by = layer.quantizer;
  for (int image = 0; image < images; ++image) {
    auto* next = reinterpret_cast<std::uint8_t*>(out.row(image));
    const float* const values = in.row(image);
    for (std::ptrdiff_t k = 0; k < padded(layer.in); k += Lanes, next += Lanes) {
      const auto steps = to_steps<Lanes>(load<Lanes>(values + k), by.inverse_scale, by.offset);
      const Bytes<Lanes> bytes = __builtin_convertvector(steps, Bytes<Lanes>);
      std::memcpy(next, &bytes, sizeof bytes);
    }
  }
}

template <int Lanes>
inline std::int32_t total_of(Bits<Lanes> sums) {
  std::int32_t total = 0;
  for (int lane = 0; lane < Lanes; ++lane) total += sums[lane];
  return total;
}

// Computes outputs n, …, n + Rows - 1 of `Images` images.
template <int Lanes, class Products, int Rows, int Images>
void int8_dense_tile(const Dense& layer, std::ptrdiff_t n, ByteRows in, ChannelRows out) {
  const std::ptrdiff_t words = Dense::groups(layer.in) * kMaxLanes;
  Bits<Lanes> sums[Rows][Images] = {};
  for (int r = 0; r < Rows; ++r) {
    const auto* weights = reinterpret_cast<const std::int32_t*>(layer.row(n + r));
    for (int pass = 0; pass < layer.passes; ++pass, weights += words) {
      for (std::ptrdiff_t word = 0; word < words; word += Lanes) {
        const Bits<Lanes> vector = load_bits<Lanes>(weights + word);
        for (int m = 0; m < Images; ++m) {
          sums[r][m] =
              Products::template add<Lanes>(sums[r][m], load_bits<Lanes>(in.row(m) + word), vector);
        }
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int m = 0; m < Images; ++m) {
      const auto total = broadcast<Lanes>(static_cast<float>(total_of<Lanes>(sums[r][m])));
      out.row(m)[n + r] = scaled<Lanes>(total, layer.steps[n + r], layer.bias[n + r])[0];
    }
  }
}

// Computes the outputs `rows` of every image, without activation. `bytes` has a row for each image.
template <int Lanes, class Products>
void int8_dense(const Dense& layer, ChannelRows in, ChannelRows out, int images, Range rows,
                ByteRows bytes) {
  quantize_rows<Lanes>(layer, in, images, bytes);
  for_each_dense_tile(images, rows, [&](auto count, auto group, std::ptrdiff_t n, int first) {
    int8_dense_tile<Lanes, Products, count, group>(layer, n, bytes.from(first), out.from(first));
  });
}

// Computes the same of a layer in any format. `PointwiseKernel` says how bytes are multiplied, if
// the networks that it runs have any.
template <class PointwiseKernel>
void dense_layer(const Dense& layer, ChannelRows in, ChannelRows out, int images, Range rows,
                 ByteRows bytes) {
  using Products = typename PointwiseKernel::Products;
  constexpr int Lanes = PointwiseKernel::kLanes;
  if constexpr (!std::is_void_v<Products>) {
    if (layer.format == WeightFormat::kInt8) {
      return int8_dense<Lanes, Products>(layer, in, out, images, rows, bytes);
    }
  }
  dense<Lanes>(layer, in, out, images, rows);
}

}  // namespace ghostnet::cpu
