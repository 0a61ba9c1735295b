// GhostNet, GhostNetV2, RepGhost and MobileNetV2 as in their papers: plain loops in double
// precision over (channels, height, width).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "random_numbers.h"

namespace reference {

enum Activation { kNone = 0, kRelu = 1, kHardSwish = 2, kRelu6 = 3 };

enum BlockKind { kGhostBottleneck = 0, kInvertedResidual = 1, kRepGhostBottleneck = 2 };

enum Upsampling { kNoAttention = 0, kNearest = 1, kBilinear = 2 };

struct Map {
  int channels;
  int height;
  int width;
  std::vector<double> data;

  Map(int c, int h, int w) : channels(c), height(h), width(w), data(std::size_t(c) * h * w) {}
  double& at(int c, int y, int x) { return data[(std::size_t(c) * height + y) * width + x]; }
  double at(int c, int y, int x) const { return data[(std::size_t(c) * height + y) * width + x]; }
};

double activate(double x, Activation activation);

// A convolution with weights [out][in / groups][kernel][kernel_width] and a bias, padded by half of
// the kernel.
struct Convolution {
  int in;
  int out;
  int kernel;
  int kernel_width;
  int stride;
  int groups;
  std::vector<float> weights;
  std::vector<float> bias;
  // The smallest and the largest pixel so far, by input channel.
  mutable std::vector<float> low;
  mutable std::vector<float> high;

  Convolution(int in_, int out_, int kernel_, int stride_, int groups_, RandomNumbers& random)
      : Convolution(in_, out_, kernel_, kernel_, stride_, groups_, random) {}

  Convolution(int in_, int out_, int kernel_, int kernel_width_, int stride_, int groups_,
              RandomNumbers& random)
      : in(in_),
        out(out_),
        kernel(kernel_),
        kernel_width(kernel_width_),
        stride(stride_),
        groups(groups_),
        low(in_),
        high(in_) {
    const int fan_in = in / groups * kernel * kernel_width;
    const double scale = std::sqrt(2.0 / fan_in);
    weights.resize(std::size_t(out) * fan_in);
    bias.resize(out);
    for (float& value : weights) value = static_cast<float>(random.normal(0, scale));
    for (float& value : bias) value = static_cast<float>(random.normal(0, 0.3));
  }

  Map operator()(const Map& x, Activation activation) const;

 private:
  void keep_ranges(const Map& x) const;
  double correlate(const Map& x, int n, int row, int column) const;
};

inline Map concatenate(const Map& a, const Map& b) {
  Map y(a.channels + b.channels, a.height, a.width);
  std::copy(a.data.begin(), a.data.end(), y.data.begin());
  std::copy(b.data.begin(), b.data.end(), y.data.begin() + a.data.size());
  return y;
}

inline Map mean(const Map& x) {
  Map y(x.channels, 1, 1);
  const std::size_t area = std::size_t(x.height) * x.width;
  for (int c = 0; c < x.channels; ++c) {
    for (std::size_t i = 0; i < area; ++i) y.data[c] += x.data[c * area + i] / area;
  }
  return y;
}

// The output is that of `parts` layers: of both, or of the second alone.
struct GhostModule {
  int parts;
  Convolution primary;
  Convolution cheap;

  GhostModule(int in, int out, int parts_, RandomNumbers& random)
      : parts(parts_),
        primary(in, out / parts, 1, 1, 1, random),
        cheap(out / parts, out / parts, 3, 1, out / parts, random) {}

  Map operator()(const Map& x, Activation activation) const {
    const Map y = primary(x, activation);
    return parts == 2 ? concatenate(y, cheap(y, activation)) : cheap(y, activation);
  }
};

// Averages over 2×2 pixels.
inline Map pool(const Map& x) {
  Map y(x.channels, x.height / 2, x.width / 2);
  for (int c = 0; c < y.channels; ++c) {
    for (int row = 0; row < y.height; ++row) {
      for (int column = 0; column < y.width; ++column) {
        const int upper = 2 * row;
        const int left = 2 * column;
        y.at(c, row, column) = (x.at(c, upper, left) + x.at(c, upper, left + 1) +
                                x.at(c, upper + 1, left) + x.at(c, upper + 1, left + 1)) /
                               4;
      }
    }
  }
  return y;
}

// The gate of one position of a map of so many rows and columns.
double gate_at(const Map& gates, Upsampling upsampling, const Map& map, int c, int row, int column);

// GhostNetV2's attention.
struct Attention {
  Upsampling upsampling;
  Convolution pointwise;
  Convolution horizontal;
  Convolution vertical;

  Attention(Upsampling upsampling_, int in, int out, RandomNumbers& random)
      : upsampling(upsampling_),
        pointwise(in, out, 1, 1, 1, random),
        horizontal(out, out, 1, 5, 1, out, random),
        vertical(out, out, 5, 1, 1, out, random) {}

  // Gates `map`, which was computed from `x`.
  void operator()(const Map& x, Map& map) const {
    Map gates = vertical(horizontal(pointwise(pool(x), kNone), kNone), kNone);
    for (double& gate : gates.data) gate = 1 / (1 + std::exp(-gate));
    for (int c = 0; c < map.channels; ++c) {
      for (int row = 0; row < map.height; ++row) {
        for (int column = 0; column < map.width; ++column) {
          map.at(c, row, column) *= gate_at(gates, upsampling, map, c, row, column);
        }
      }
    }
  }
};

// One row of an architecture table.
struct Row {
  int expanded;
  int out;
  int kernel;
  int stride;
  int squeezed;
  Upsampling upsampling = kNoAttention;
};

struct Bottleneck {
  Row row;
  GhostModule ghost1;
  std::vector<Attention> attention;
  GhostModule ghost2;
  std::vector<Convolution> downsample;
  std::vector<Convolution> squeeze_excite;
  std::vector<Convolution> shortcut;

  Bottleneck(int in, Row row_, int parts, RandomNumbers& random)
      : row(row_),
        ghost1(in, row.expanded, parts, random),
        ghost2(row.expanded, row.out, parts, random) {
    if (row.upsampling != kNoAttention) {
      attention.emplace_back(row.upsampling, in, row.expanded, random);
    }
    if (row.stride > 1) {
      downsample.emplace_back(row.expanded, row.expanded, row.kernel, row.stride, row.expanded,
                              random);
    }
    if (row.squeezed > 0) {
      squeeze_excite.emplace_back(row.expanded, row.squeezed, 1, 1, 1, random);
      squeeze_excite.emplace_back(row.squeezed, row.expanded, 1, 1, 1, random);
    }
    if (row.stride > 1 || in != row.out) {
      shortcut.emplace_back(in, in, row.kernel, row.stride, in, random);
      shortcut.emplace_back(in, row.out, 1, 1, 1, random);
    }
  }

  Map operator()(const Map& x, Activation activation) const {
    Map y = ghost1(x, activation);
    for (const Attention& gate : attention) gate(x, y);
    for (const Convolution& layer : downsample) y = layer(y, kNone);
    if (!squeeze_excite.empty()) {
      const Map gates = squeeze_excite[1](squeeze_excite[0](mean(y), kRelu), kNone);
      const std::size_t area = std::size_t(y.height) * y.width;
      for (std::size_t i = 0; i < y.data.size(); ++i) {
        y.data[i] *= std::min(std::max(gates.data[i / area] + 3, 0.0), 6.0) / 6;
      }
    }
    y = ghost2(y, kNone);
    Map residual = x;
    for (const Convolution& layer : shortcut) residual = layer(residual, kNone);
    for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] += residual.data[i];
    return y;
  }
};

struct InvertedResidual {
  Row row;
  std::vector<Convolution> expansion;
  Convolution depthwise;
  Convolution projection;

  InvertedResidual(int in, Row row_, RandomNumbers& random)
      : row(row_),
        depthwise(row.expanded, row.expanded, row.kernel, row.stride, row.expanded, random),
        projection(row.expanded, row.out, 1, 1, 1, random) {
    if (row.expanded != in) expansion.emplace_back(in, row.expanded, 1, 1, 1, random);
  }

  Map operator()(const Map& x, Activation activation) const {
    Map y = x;
    for (const Convolution& layer : expansion) y = layer(y, activation);
    y = projection(depthwise(y, activation), kNone);
    if (row.stride > 1 || x.channels != y.channels) return y;
    for (std::size_t i = 0; i < y.data.size(); ++i) y.data[i] += x.data[i];
    return y;
  }
};

struct Table {
  Activation activation;
  int stem;
  std::vector<Row> rows;
  int last;
  int head;     // 0: the classifier reads the means of the last map
  int classes;  // 0: what the classifier would read is the output
  BlockKind kind = kGhostBottleneck;

  int features() const { return head > 0 ? head : last; }
};

inline int channels_before(const Table& table, std::size_t block) {
  return block == 0 ? table.stem : table.rows[block - 1].out;
}

struct Network {
  Table table;
  RandomNumbers random;
  Convolution stem;
  std::vector<Bottleneck> bottlenecks;  // or
  std::vector<InvertedResidual> inverted_residuals;
  Convolution last;
  std::vector<Convolution> head;
  std::vector<Convolution> classifier;

  Network(const Table& table_, unsigned seed)
      : table(table_),
        random(seed),
        stem(3, table.stem, 3, 2, 1, random),
        bottlenecks(make_bottlenecks()),
        inverted_residuals(make_inverted_residuals()),
        last(channels_before(table, table.rows.size()), table.last, 1, 1, 1, random) {
    if (table.head > 0) head.emplace_back(table.last, table.head, 1, 1, 1, random);
    if (table.classes > 0)
      classifier.emplace_back(table.features(), table.classes, 1, 1, 1, random);
  }

  std::vector<double> operator()(const Map& image) const {
    Map x = stem(image, table.activation);
    for (const Bottleneck& block : bottlenecks) x = block(x, table.activation);
    for (const InvertedResidual& block : inverted_residuals) x = block(x, table.activation);
    x = mean(last(x, table.activation));
    for (const Convolution& layer : head) x = layer(x, table.activation);
    for (const Convolution& layer : classifier) x = layer(x, kNone);
    return x.data;
  }

 private:
  std::vector<Bottleneck> make_bottlenecks() {
    std::vector<Bottleneck> made;
    if (table.kind == kInvertedResidual) return made;
    const int parts = table.kind == kRepGhostBottleneck ? 1 : 2;
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
      made.emplace_back(channels_before(table, i), table.rows[i], parts, random);
    }
    return made;
  }

  std::vector<InvertedResidual> make_inverted_residuals() {
    std::vector<InvertedResidual> made;
    if (table.kind != kInvertedResidual) return made;
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
      made.emplace_back(channels_before(table, i), table.rows[i], random);
    }
    return made;
  }
};

}  // namespace reference
