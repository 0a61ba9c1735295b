// Batch norm with its activation, one channel at a time: y = act(scale · z + shift), where scale
// and shift follow from the mean and variance of the channel over the batch.
#pragma once

#include <cmath>
#include <cstddef>

#include "ops/activation.h"
#include "simd/vector.h"
#include "training/activation_gradient.h"
#include "training/feature_maps.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

struct Affine {
  float scale;
  float shift;
};

// What the forward pass saves of a channel for the backward pass.
struct Statistics {
  float mean;
  float inverse_deviation;

  Affine affine(float gamma, float beta) const {
    const float scale = gamma * inverse_deviation;
    return {scale, beta - mean * scale};
  }
};

// Of some values; `squares` is Σ (value − mean)².
struct Moments {
  double mean = 0;
  double squares = 0;
  std::ptrdiff_t count = 0;

  double variance() const { return squares / count; }  // biased

  // Adds those of other values, by the formula of Chan, Golub and LeVeque.
  Moments& operator+=(const Moments& other) {
    const double share = static_cast<double>(other.count) / (count + other.count);
    const double distance = other.mean - mean;
    mean += distance * share;
    squares += other.squares + distance * distance * share * count;
    count += other.count;
    return *this;
  }

  Statistics statistics(float epsilon) const {
    return {static_cast<float>(mean), static_cast<float>(1 / std::sqrt(variance() + epsilon))};
  }
};

// Takes two passes, because a single one loses the variance of a plane that lies far from zero.
template <int Lanes>
Moments moments(const float* plane, std::ptrdiff_t size) {
  const float total = sum_vectors<Lanes>(
      size, [plane](auto lanes, std::ptrdiff_t i) { return load<lanes>(plane + i); });
  const float mean = total / static_cast<float>(size);
  const float squares = sum_vectors<Lanes>(size, [plane, mean](auto lanes, std::ptrdiff_t i) {
    const Floats<lanes> deviation = load<lanes>(plane + i) - mean;
    return deviation * deviation;
  });
  return {mean, squares, size};
}

template <int Lanes>
Moments moments(ConstChannel z) {
  Moments sum;
  for (int image = 0; image < z.images; ++image) sum += moments<Lanes>(z.plane(image), z.size);
  return sum;
}

// A plane that a norm reads, and the one that it writes.
struct NormPlane {
  const float* z;
  float* y;  // may be z
  std::ptrdiff_t size;
};

// Calls body(values), where values(lanes, i) gives a vector of y from the i-th on.
template <class Body>
inline void with_normalized(Affine affine, Activation activation, const float* z, Body body) {
  with_activation(activation, [&](auto act) {
    body([=](auto lanes, std::ptrdiff_t i) {
      return activate<lanes>(act, load<lanes>(z + i) * affine.scale + affine.shift);
    });
  });
}

template <int Lanes>
void normalize(Affine affine, Activation activation, const NormPlane& plane) {
  const auto [z, y, size] = plane;
  with_normalized(affine, activation, z, [y = y, size = size](auto values) {
    for_each_vector<Lanes>(
        size, [&](auto lanes, std::ptrdiff_t i) { store<lanes>(y + i, values(lanes, i)); });
  });
}

// A channel; y may be z.
template <int Lanes>
void normalize(Affine affine, Activation activation, ConstChannel z, Channel y) {
  for (int image = 0; image < z.images; ++image) {
    normalize<Lanes>(affine, activation, {z.plane(image), y.plane(image), z.size});
  }
}

// The norm of one channel as the backward pass sees it.
struct Norm {
  Statistics statistics;
  float gamma;
  float beta;
  Activation activation;

  Affine affine() const { return statistics.affine(gamma, beta); }
};

// The gradients of a channel's gamma and beta, and the factors of the gradient to z, which is
// g_factor · g + z_factor · z + constant, where g is the gradient before the activation.
struct NormGradient {
  float gamma;
  float beta;
  float g_factor;
  float z_factor;
  float constant;
};

// The planes that the backward pass of a norm reads: its input, and the gradient to its output.
struct NormGradientInputs {
  const float* z;
  const float* dy;
  std::ptrdiff_t size;
};

// Over some values, Σ g and Σ g · (z − mean), which loses fewer digits than Σ g · z.
struct NormGradientSums {
  double g = 0;
  double gz = 0;
  std::ptrdiff_t count = 0;

  NormGradientSums& operator+=(const NormGradientSums& other) {
    g += other.g;
    gz += other.gz;
    count += other.count;
    return *this;
  }
};

// Those of a plane.
template <int Lanes>
NormGradientSums norm_gradient_sums(const Norm& norm, const NormGradientInputs& from) {
  const auto [z, dy, size] = from;
  const Affine affine = norm.affine();
  const float mean = norm.statistics.mean;
  NormGradientSums found;
  with_activation(norm.activation, [&, z = z, dy = dy, size = size](auto act) {
    const auto sums = sum_terms<Lanes, 2>(size, [&](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> value = load<lanes>(z + i);
      const Floats<lanes> g =
          activation_gradient<lanes>(act, value * affine.scale + affine.shift, load<lanes>(dy + i));
      return Terms<lanes, 2>{g, g * (value - mean)};
    });
    found = {sums[0], sums[1], size};
  });
  return found;
}

// Those of a channel.
template <int Lanes>
NormGradientSums norm_gradient_sums(const Norm& norm, ConstChannel z, ConstChannel dy) {
  NormGradientSums sums;
  for (int image = 0; image < z.images; ++image) {
    sums += norm_gradient_sums<Lanes>(norm, {z.plane(image), dy.plane(image), z.size});
  }
  return sums;
}

inline NormGradient norm_gradient(const Norm& norm, const NormGradientSums& sums) {
  const auto [mean, inverse_deviation] = norm.statistics;
  const double gamma = sums.gz * inverse_deviation;
  const double scale = norm.affine().scale;
  const double z_factor = -scale * inverse_deviation * gamma / sums.count;
  const double constant = -scale * sums.g / sums.count - z_factor * mean;
  return {static_cast<float>(gamma), static_cast<float>(sums.g), static_cast<float>(scale),
          static_cast<float>(z_factor), static_cast<float>(constant)};
}

// Calls body(values), where values(lanes, i) gives a vector of the gradient to z from the i-th on.
template <class Body>
inline void with_normalized_gradient(const Norm& norm, const NormGradient& gradient,
                                     const NormGradientInputs& from, Body body) {
  with_activation(norm.activation, [&, affine = norm.affine()](auto act) {
    body([=](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> value = load<lanes>(from.z + i);
      const Floats<lanes> g = activation_gradient<lanes>(act, value * affine.scale + affine.shift,
                                                         load<lanes>(from.dy + i));
      return g * gradient.g_factor + value * gradient.z_factor + gradient.constant;
    });
  });
}

// Writes the gradient to z of a channel; dz may be dy.
template <int Lanes>
void normalize_gradient(const Norm& norm, const NormGradient& gradient, ConstChannel z,
                        ConstChannel dy, Channel dz) {
  for (int image = 0; image < z.images; ++image) {
    with_normalized_gradient(norm, gradient, {z.plane(image), dy.plane(image), z.size},
                             [&](auto values) {
                               for_each_vector<Lanes>(z.size, [&](auto lanes, std::ptrdiff_t i) {
                                 store<lanes>(dz.plane(image) + i, values(lanes, i));
                               });
                             });
  }
}

}  // namespace ghostnet::cpu::training
