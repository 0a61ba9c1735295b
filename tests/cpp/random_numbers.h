// Random numbers that are the same with every standard library, which std::normal_distribution is
// not.
#pragma once

#include <random>

namespace reference {

class RandomNumbers {
 public:
  explicit RandomNumbers(unsigned seed) : bits_(seed) {}

  // Close to a normal distribution: the sum of 12 numbers from 0 to 1, whose variance is 1. Its
  // terms are multiples of 2⁻²⁴, so that it is exact.
  double normal(double mean, double deviation) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += (bits_() >> 8) * 0x1p-24;
    return mean + deviation * sum;
  }

 private:
  std::mt19937 bits_;
};

}  // namespace reference
