// Batch norm with its activation, one channel at a time: y = act(scale · z + shift), where mean
// and variance are those of the channel over the batch.
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

// Two passes, because one loses the variance of a channel that lies far from zero.
template <int Lanes>
Moments moments(ConstChannel z) {
  const double count = static_cast<double>(z.size) * z.images;
  double total = 0;
  for (int image = 0; image < z.images; ++image) {
    const float* plane = z.plane(image);
    total += sums_over<Lanes, 1>(z.size, [plane](auto lanes, std::ptrdiff_t i) {
      return Terms<lanes, 1>{load<lanes>(plane + i)};
    })[0];
  }
  const float mean = static_cast<float>(total / count);
  double squares = 0;
  for (int image = 0; image < z.images; ++image) {
    const float* plane = z.plane(image);
    squares += sums_over<Lanes, 1>(z.size, [plane, mean](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> away = load<lanes>(plane + i) - mean;
      return Terms<lanes, 1>{away * away};
    })[0];
  }
  return {mean, squares / count, z.size * z.images};
}

// One plane: y = act(scale · z + shift).
template <int Lanes>
void normalise(const float* z, std::ptrdiff_t size, Affine affine, Activation activation,
               float* y) {
  with_activation(activation, [&](auto act) {
    for_packs<Lanes>(size, [&](auto lanes, std::ptrdiff_t i) {
      store<lanes>(y + i,
                   activate<lanes>(act, load<lanes>(z + i) * affine.scale + affine.shift));
    });
  });
}

// A channel; y may be z.
template <int Lanes>
void normalise(ConstChannel z, Affine affine, Activation activation, Channel y) {
  for (int image = 0; image < z.images; ++image) {
    normalise<Lanes>(z.plane(image), z.size, affine, activation, y.plane(image));
  }
}

// One channel's norm as the backward pass sees it.
struct Norm {
  Statistics statistics;
  float gamma;
  float beta;
  Activation activation;

  Affine affine() const { return statistics.affine(gamma, beta); }
};

// The gradients of a channel's gamma and beta, and with them the gradient to z, which is
// normal · g + z_factor · z + constant, where g is the gradient before the activation.
struct NormGradient {
  float gamma;
  float beta;
  float normal;
  float z_factor;
  float constant;
};

// From Σ g and Σ g · (z − mean): fewer digits are lost than with Σ g · z.
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

// The gradients of gamma and beta from the gradient after the activation.
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
      const auto sums = sums_over<Lanes, 2>(z.size, [&](auto lanes, std::ptrdiff_t i) {
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

// One plane of the gradient to z; dz may be dy.
template <int Lanes>
void denormalise(const Norm& norm, const NormGradient& gradient, const float* z, const float* dy,
                 std::ptrdiff_t size, float* dz) {
  const Affine affine = norm.affine();
  with_activation(norm.activation, [&](auto act) {
    for_packs<Lanes>(size, [&](auto lanes, std::ptrdiff_t i) {
      const Floats<lanes> value = load<lanes>(z + i);
      const Floats<lanes> g = activation_gradient<lanes>(
          act, value * affine.scale + affine.shift, load<lanes>(dy + i));
      store<lanes>(dz + i, g * gradient.normal + value * gradient.z_factor + gradient.constant);
    });
  });
}

// A channel; dz may be dy.
template <int Lanes>
void denormalise(const Norm& norm, const NormGradient& gradient, ConstChannel z, ConstChannel dy,
                 Channel dz) {
  for (int image = 0; image < z.images; ++image) {
    denormalise<Lanes>(norm, gradient, z.plane(image), dy.plane(image), z.size, dz.plane(image));
  }
}

}  // namespace ghostnet::cpu::training
