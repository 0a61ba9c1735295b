// The product of a map and its gates, a smaller map that grows to its size: each pixel takes the
// nearest gate above and to the left.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include "simd/vector.h"
#include "training/arguments.h"
#include "training/feature_maps.h"
#include "training/operators.h"
#include "training/parallel_for.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

// The gate of each pixel of a row or column.
template <int Lanes>
class GateIndices {
 public:
  GateIndices(int pixels, int gates) : pixels_(pixels), indices_(new int[pixels]) {
    for (std::ptrdiff_t i = 0; i < pixels; ++i) indices_[i] = static_cast<int>(i * gates / pixels);
  }

  int operator[](int pixel) const { return indices_[pixel]; }
  int pixels() const { return pixels_; }

  // The pixel after the last one with the gate of `pixel`.
  int end(int pixel) const {
    const int gate = indices_[pixel];
    while (pixel < pixels_ && indices_[pixel] == gate) ++pixel;
    return pixel;
  }

 private:
  int pixels_;
  std::unique_ptr<int[]> indices_;
};

// Calls body(gate row, first row, end of the rows) for each row of gates and its rows of pixels.
template <int Lanes, class Body>
void each_gate_row(const GateIndices<Lanes>& rows, Body body) {
  for (int first = 0; first < rows.pixels(); first = rows.end(first)) {
    body(rows[first], first, rows.end(first));
  }
}

// Sets a row of pixels to their gates.
template <int Lanes>
void expand(const float* gates, const GateIndices<Lanes>& columns, float* row) {
  for (int x = 0; x < columns.pixels(); ++x) row[x] = gates[columns[x]];
}

template <int Lanes>
void gate(const Tensors& t, int threads) {
  using A = GateArguments;
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const ConstFeatureMaps gates = t.maps_in(A::kGates);
  float* const y = t.out(A::kY);
  const int width = x.shape.width;
  const GateIndices<Lanes> rows(x.shape.height, gates.shape.height);
  const GateIndices<Lanes> columns(width, gates.shape.width);
  const std::ptrdiff_t planes = std::ptrdiff_t{x.shape.images} * x.shape.channels;
  parallel_for(threads, planes, [&](IndexQueue& indices) {
    const std::unique_ptr<float[]> expanded(new float[width]);
    indices.for_each([&](std::ptrdiff_t plane) {
      const float* const from = x.data + plane * x.shape.plane();
      float* const to = y + plane * x.shape.plane();
      each_gate_row(rows, [&](int gate_row, int first, int end) {
        const float* const row =
            gates.data + plane * gates.shape.plane() + std::ptrdiff_t{gate_row} * gates.shape.width;
        expand(row, columns, expanded.get());
        for (std::ptrdiff_t start = std::ptrdiff_t{first} * width; first < end;
             ++first, start += width) {
          for_each_vector<Lanes>(width, [&](auto lanes, std::ptrdiff_t i) {
            store<lanes>(to + start + i, load<lanes>(from + start + i) * load<lanes>(&expanded[i]));
          });
        }
      });
    });
  });
}

template <int Lanes>
void gate_gradient(const Tensors& t, int threads) {
  using A = GateGradientArguments;
  const ConstFeatureMaps dy = t.maps_in(A::kYGradient);
  const ConstFeatureMaps x = t.maps_in(A::kX);
  const ConstFeatureMaps gates = t.maps_in(A::kGates);
  const int width = x.shape.width;
  const GateIndices<Lanes> rows(x.shape.height, gates.shape.height);
  const GateIndices<Lanes> columns(width, gates.shape.width);
  const std::ptrdiff_t planes = std::ptrdiff_t{x.shape.images} * x.shape.channels;
  parallel_for(threads, planes, [&](IndexQueue& indices) {
    const std::unique_ptr<float[]> expanded(new float[width]);
    const std::unique_ptr<float[]> products(new float[width]);
    indices.for_each([&](std::ptrdiff_t plane) {
      const std::ptrdiff_t pixels = plane * x.shape.plane();
      each_gate_row(rows, [&](int gate_row, int first, int end) {
        const std::ptrdiff_t row =
            plane * gates.shape.plane() + std::ptrdiff_t{gate_row} * gates.shape.width;
        expand(gates.data + row, columns, expanded.get());
        std::fill_n(products.get(), width, 0.0F);
        for (std::ptrdiff_t start = pixels + std::ptrdiff_t{first} * width; first < end;
             ++first, start += width) {
          for_each_vector<Lanes>(width, [&](auto lanes, std::ptrdiff_t i) {
            const Floats<lanes> gradient = load<lanes>(dy.data + start + i);
            store<lanes>(t.out(A::kXGradient) + start + i, gradient * load<lanes>(&expanded[i]));
            store<lanes>(&products[i],
                         load<lanes>(&products[i]) + gradient * load<lanes>(x.data + start + i));
          });
        }
        float* const to = t.out(A::kGatesGradient) + row;
        std::fill_n(to, gates.shape.width, 0.0F);
        for (int column = 0; column < width; ++column) to[columns[column]] += products[column];
      });
    });
  });
}

}  // namespace ghostnet::cpu::training
