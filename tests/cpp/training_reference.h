// The layers of training and their gradients, from their definitions: plain loops in double
// precision over (images, channels, height, width).
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "reference.h"

namespace reference::training {

struct Batch {
  int images;
  int channels;
  int height;
  int width;
  std::vector<double> data;

  Batch(int n, int c, int h, int w)
      : images(n), channels(c), height(h), width(w), data(std::size_t(n) * c * h * w) {}

  double& at(int n, int c, int y, int x) {
    return data[((std::size_t(n) * channels + c) * height + y) * width + x];
  }
  double at(int n, int c, int y, int x) const { return const_cast<Batch*>(this)->at(n, c, y, x); }
  bool holds(int y, int x) const { return y >= 0 && y < height && x >= 0 && x < width; }
};

// body(n, c, y, x) for every pixel of a batch.
template <class Body>
void each(const Batch& batch, Body body) {
  for (int n = 0; n < batch.images; ++n) {
    for (int c = 0; c < batch.channels; ++c) {
      for (int y = 0; y < batch.height; ++y) {
        for (int x = 0; x < batch.width; ++x) body(n, c, y, x);
      }
    }
  }
}

using Values = std::vector<double>;

// Lists the products that a depthwise convolution padded by kernel / 2 adds up:
// body(image, channel, row and column of the output, weight, row and column of the input).
template <class Body>
void each_product(const Batch& x, const Batch& z, int kernel, int stride, Body body) {
  each(z, [&](int n, int c, int y, int column) {
    for (int tap = 0; tap < kernel * kernel; ++tap) {
      const int from_y = y * stride + tap / kernel - kernel / 2;
      const int from_x = column * stride + tap % kernel - kernel / 2;
      if (x.holds(from_y, from_x)) body(n, c, y, column, c * kernel * kernel + tap, from_y, from_x);
    }
  });
}

inline Batch depthwise(const Batch& x, const Values& filter, int kernel, int stride) {
  Batch z(x.images, x.channels, (x.height - 1) / stride + 1, (x.width - 1) / stride + 1);
  each_product(x, z, kernel, stride, [&](int n, int c, int y, int w, int tap, int fy, int fx) {
    z.at(n, c, y, w) += filter[tap] * x.at(n, c, fy, fx);
  });
  return z;
}

inline void depthwise_gradient(const Batch& dz, const Batch& x, const Values& filter, int kernel,
                               int stride, Batch& dx, Values& dfilter) {
  each_product(x, dz, kernel, stride, [&](int n, int c, int y, int w, int tap, int fy, int fx) {
    dx.at(n, c, fy, fx) += filter[tap] * dz.at(n, c, y, w);
    dfilter[tap] += dz.at(n, c, y, w) * x.at(n, c, fy, fx);
  });
}

// Batch norm, followed by nothing, ReLU or ReLU6.
struct Norm {
  Values gamma;
  Values beta;
  Activation activation;
  double epsilon = 1e-5;

  struct Channel {
    double mean;
    double inverse_deviation;
    double variance;
  };

  Channel measure(const Batch& z, int channel) const {
    double mean = 0;
    double squares = 0;
    const double count = double(z.images) * z.height * z.width;
    each(z,
         [&](int n, int c, int y, int x) { mean += c == channel ? z.at(n, c, y, x) / count : 0; });
    each(z, [&](int n, int c, int y, int x) {
      squares += c == channel ? std::pow(z.at(n, c, y, x) - mean, 2) : 0;
    });
    return {mean, 1 / std::sqrt(squares / count + epsilon), squares / count};
  }

  // Whether the activation has no slope where it gives y.
  bool is_flat(double y) const {
    return activation != kNone && (y <= 0 || (activation == kRelu6 && y >= 6));
  }

  Batch operator()(const Batch& z) const {
    Batch out = z;
    for (int c = 0; c < z.channels; ++c) {
      const Channel found = measure(z, c);
      each(z, [&](int n, int channel, int y, int x) {
        if (channel != c) return;
        const double value =
            gamma[c] * (z.at(n, c, y, x) - found.mean) * found.inverse_deviation + beta[c];
        out.at(n, c, y, x) = activate(value, activation);
      });
    }
    return out;
  }

  void gradient(const Batch& dy, const Batch& z, Batch& dz, Values& dgamma, Values& dbeta) const {
    const Batch y = (*this)(z);
    const double count = double(z.images) * z.height * z.width;
    for (int c = 0; c < z.channels; ++c) {
      const Channel found = measure(z, c);
      const auto normal = [&](int n, int row, int x) {
        return (z.at(n, c, row, x) - found.mean) * found.inverse_deviation;
      };
      const auto g = [&](int n, int row, int x) {
        return is_flat(y.at(n, c, row, x)) ? 0 : dy.at(n, c, row, x);
      };
      each(z, [&](int n, int channel, int row, int x) {
        if (channel != c) return;
        dbeta[c] += g(n, row, x);
        dgamma[c] += g(n, row, x) * normal(n, row, x);
      });
      each(z, [&](int n, int channel, int row, int x) {
        if (channel != c) return;
        const double mean_part = (dbeta[c] + normal(n, row, x) * dgamma[c]) / count;
        dz.at(n, c, row, x) = gamma[c] * found.inverse_deviation * (g(n, row, x) - mean_part);
      });
    }
  }
};

}  // namespace reference::training
