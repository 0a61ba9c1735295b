// Batch norm with its activation, one channel at a time: y = act(scale · z + shift), where scale
// and shift follow from the mean and variance of the channel over the batch.
#pragma once

#include <cmath>

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

struct Moments {
  double mean;
  double variance;  // biased
  std::ptrdiff_t count;

  Statistics statistics(float epsilon) const {
    return {static_cast<float>(mean), static_cast<float>(1 / std::sqrt(variance + epsilon))};
  }
};

// Takes two passes, because a single one loses the variance of a channel that lies far from zero.
template <int Lanes>
Moments moments(ConstChannel z) {
  const double count = static_cast<double>(z.size) * z.images;
  double total = 0;
  for (int image = 0; image < z.images; ++image) {
    const float* plane = z.plane(image);
    total += sum_vectors<Lanes>(z.size, [plane](auto lanes, std::ptrdiff_t i) {
      return load<lanes>(plane + i);
    });
  }
  const float mean = static_cast<float>(total / count);
  double squares = 0;
  for (int image = 0; image < z.images; ++image) {
    const float* plane = z.plane(image);
    squares += sum_vectors<Lanes>(z.size, [plane, mean](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> deviation = load<lanes>(plane + i) - mean;
      return deviation * deviation;
    });
  }
  return {mean, squares / count, z.size * z.images};
}

// y = act(scale · z + shift) for a channel; y may be z.
template <int Lanes>
void normalize(ConstChannel z, Affine affine, Activation activation, Channel y) {
  for (int image = 0; image < z.images; ++image) {
    const float* from = z.plane(image);
    float* to = y.plane(image);
    with_activation(activation, [&](auto act) {
      for_each_vector<Lanes>(z.size, [&](auto lanes, std::ptrdiff_t i) {
        store<lanes>(to + i,
                     activate<lanes>(act, load<lanes>(from + i) * affine.scale + affine.shift));
      });
    });
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

// From Σ g and Σ g · (z − mean), which loses fewer digits than Σ g · z.
inline NormGradient norm_gradient(const Norm& norm, double sum_g, double sum_gz,
                                  std::ptrdiff_t count) {
  const auto [mean, inverse_deviation] = norm.statistics;
  const double gamma = sum_gz * inverse_deviation;
  const double scale = norm.affine().scale;
  const double z_factor = -scale * inverse_deviation * gamma / count;
  const double constant = -scale * sum_g / count - z_factor * mean;
  return {static_cast<float>(gamma), static_cast<float>(sum_g), static_cast<float>(scale),
          static_cast<float>(z_factor), static_cast<float>(constant)};
}

// From the gradient to y.
template <int Lanes>
NormGradient norm_gradient(const Norm& norm, ConstChannel z, ConstChannel dy) {
  const Affine affine = norm.affine();
  const float mean = norm.statistics.mean;
  double sum_g = 0;
  double sum_gz = 0;
  for (int image = 0; image < z.images; ++image) {
    const float* z_plane = z.plane(image);
    const float* dy_plane = dy.plane(image);
    with_activation(norm.activation, [&](auto act) {
      const auto sums = sum_terms<Lanes, 2>(z.size, [&](auto lanes, std::ptrdiff_t i) {
        const Floats<lanes> value = load<lanes>(z_plane + i);
        const Floats<lanes> g = activation_gradient<lanes>(
            act, value * affine.scale + affine.shift, load<lanes>(dy_plane + i));
        return Terms<lanes, 2>{g, g * (value - mean)};
      });
      sum_g += sums[0];
      sum_gz += sums[1];
    });
  }
  return norm_gradient(norm, sum_g, sum_gz, z.size * z.images);
}

// A plane that the gradient of a norm reads and writes.
struct NormGradientPlane {
  const float* z;
  const float* dy;
  float* dz;  // may be dy or z
  std::ptrdiff_t size;
};

template <int Lanes>
void normalize_gradient(const Norm& norm, const NormGradient& gradient,
                        const NormGradientPlane& plane) {
  const Affine affine = norm.affine();
  const auto [z, dy, dz, size] = plane;
  with_activation(norm.activation, [&, z = z, dy = dy, dz = dz, size = size](auto act) {
    for_each_vector<Lanes>(size, [&](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> value = load<lanes>(z + i);
      const Floats<lanes> g = activation_gradient<lanes>(
          act, value * affine.scale + affine.shift, load<lanes>(dy + i));
      store<lanes>(dz + i, g * gradient.g_factor + value * gradient.z_factor + gradient.constant);
    });
  });
}

// A channel; dz may be dy.
template <int Lanes>
void normalize_gradient(const Norm& norm, const NormGradient& gradient, ConstChannel z,
                        ConstChannel dy, Channel dz) {
  for (int image = 0; image < z.images; ++image) {
    normalize_gradient<Lanes>(norm, gradient,
                              {z.plane(image), dy.plane(image), dz.plane(image), z.size});
  }
}

}  // namespace ghostnet::cpu::training
