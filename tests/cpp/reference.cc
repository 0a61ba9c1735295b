// What takes nearly all the time of the reference.
#include "reference.h"

#include <algorithm>
#include <cstddef>

namespace reference {

double activate(double x, Activation activation) {
  if (activation == kRelu) return std::max(x, 0.0);
  if (activation == kRelu6) return std::min(std::max(x, 0.0), 6.0);
  if (activation == kHardSwish) return x * std::min(std::max(x + 3, 0.0), 6.0) / 6;
  return x;
}

Map Convolution::operator()(const Map& x, Activation activation) const {
  keep_ranges(x);
  Map y(out, (x.height - 1) / stride + 1, (x.width - 1) / stride + 1);
  for (int n = 0; n < out; ++n) {
    for (int row = 0; row < y.height; ++row) {
      for (int column = 0; column < y.width; ++column) {
        y.at(n, row, column) = activate(bias[n] + correlate(x, n, row, column), activation);
      }
    }
  }
  return y;
}

void Convolution::keep_ranges(const Map& x) const {
  const std::size_t area = std::size_t(x.height) * x.width;
  for (std::size_t i = 0; i < x.data.size(); ++i) {
    low[i / area] = std::min(low[i / area], float(x.data[i]));
    high[i / area] = std::max(high[i / area], float(x.data[i]));
  }
}

double Convolution::correlate(const Map& x, int n, int row, int column) const {
  const int depth = in / groups;
  const int first = n / (out / groups) * depth;
  double sum = 0;
  for (int k = 0; k < depth; ++k) {
    for (int dy = 0; dy < kernel; ++dy) {
      for (int dx = 0; dx < kernel_width; ++dx) {
        const int from_row = row * stride + dy - kernel / 2;
        const int from_column = column * stride + dx - kernel_width / 2;
        if (from_row < 0 || from_row >= x.height) continue;
        if (from_column < 0 || from_column >= x.width) continue;
        sum += double(weights[((std::size_t(n) * depth + k) * kernel + dy) * kernel_width + dx]) *
               x.at(first + k, from_row, from_column);
      }
    }
  }
  return sum;
}

double gate_at(const Map& gates, Upsampling upsampling, const Map& map, int c, int row,
               int column) {
  if (upsampling == kNearest) {
    return gates.at(c, row * gates.height / map.height, column * gates.width / map.width);
  }
  const double y = double(row) * (gates.height - 1) / (map.height - 1);
  const double x = double(column) * (gates.width - 1) / (map.width - 1);
  const int upper = std::min(int(y + 1e-9), std::max(0, gates.height - 2));
  const int left = std::min(int(x + 1e-9), std::max(0, gates.width - 2));
  const int lower = std::min(upper + 1, gates.height - 1);
  const int right = std::min(left + 1, gates.width - 1);
  const double above = gates.at(c, upper, left) +
                       (gates.at(c, upper, right) - gates.at(c, upper, left)) * (x - left);
  const double below = gates.at(c, lower, left) +
                       (gates.at(c, lower, right) - gates.at(c, lower, left)) * (x - left);
  return above + (below - above) * (y - upper);
}

}  // namespace reference
