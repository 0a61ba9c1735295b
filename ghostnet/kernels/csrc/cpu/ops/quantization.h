// Layers of a quantized network, the weights and inputs of which are whole numbers of steps.
//
// An input x becomes q = ⌊x / scale - zero + ½⌋, from 0 to 255, and stands for (q + zero) · scale.
// A weight is a whole number from -129 to 128. Products of whole numbers have exact sums, whatever
// their order. All else is rounded after each step, without fused multiply-adds, so that every
// instruction set gives the same bits: a different last bit could end in another step.
#pragma once

#include <cstddef>

#include "ops/activation.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// How a layer rounds its input.
struct Quantizer {
  float inverse_scale;
  float offset;  // ½ - zero
  float zero;
};

constexpr float kLargestStep = 255;

// x · factor + term, rounded after either step.
template <int Lanes>
inline Floats<Lanes> scaled(Floats<Lanes> x, float factor, float term) {
  return in_register<Lanes>(x * factor) + term;
}

// To whole numbers from 0 to 255. `offset` holds the half that makes truncation round.
template <int Lanes>
inline Bits<Lanes> to_steps(Floats<Lanes> x, float inverse_scale, float offset) {
  const Floats<Lanes> largest = broadcast<Lanes>(kLargestStep);
  const Floats<Lanes> positive = relu<Lanes>(scaled<Lanes>(x, inverse_scale, offset));
  return __builtin_convertvector(positive < largest ? positive : largest, Bits<Lanes>);
}

// The whole numbers of scales that values stand for.
template <int Lanes>
inline Floats<Lanes> quantized(const Quantizer& by, Floats<Lanes> x) {
  const Bits<Lanes> steps = to_steps<Lanes>(x, by.inverse_scale, by.offset);
  return __builtin_convertvector(steps, Floats<Lanes>) + by.zero;
}

// Quantizes a span of a plane; the last vector may reach beyond it.
template <int Lanes>
void quantize_span(const Quantizer& quantizer, const float* in, float* out, Range span) {
  const Quantizer by = quantizer;  // a copy that no store can alias
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    store<Lanes>(out + p, quantized<Lanes>(by, load<Lanes>(in + p)));
  }
}

// Quantizes a row of an image, of which it reads nothing beyond the end, into whole vectors.
template <int Lanes>
void quantize_row(const Quantizer& quantizer, const float* in, float* out, std::ptrdiff_t width) {
  const Quantizer by = quantizer;  // a copy that no store can alias
  for (std::ptrdiff_t x = 0; x < width; x += Lanes) {
    store<Lanes>(out + x, quantized<Lanes>(by, load_first<Lanes>(in + x, width - x)));
  }
}

// Replaces sums of whole numbers by act(step · sum + bias).
template <int Lanes>
void scale_sums(float step, float bias, Activation activation, float* plane, Range span) {
  for (std::ptrdiff_t p = span.begin; p < span.end; p += Lanes) {
    const auto value =
        activate<Lanes>(activation, scaled<Lanes>(load<Lanes>(plane + p), step, bias));
    store_first<Lanes>(plane + p, value, span.end - p);
  }
}

}  // namespace ghostnet::cpu
