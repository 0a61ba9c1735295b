// A plane with a border of zeros. Its rows lie one after the other with the border between them,
// which is the right one of a row and the left one of the next.
#pragma once

#include <cstddef>
#include <vector>

#include "simd/vector.h"
#include "training/vector_loop.h"

namespace ghostnet::cpu::training {

class PaddedPlane {
 public:
  // Constructor and destructor are not inline: the files for different instruction sets share them.
  PaddedPlane(int height, int width, int border);
  ~PaddedPlane();

  int height() const { return height_; }
  int width() const { return width_; }
  int pitch() const { return pitch_; }  // floats from row to row

  const float* row(int y) const { return memory_.data() + margin_ + std::ptrdiff_t{y} * pitch_; }

  // Writes all pixels; values(lanes, i) gives a vector of them from the i-th on.
  template <int Lanes, class Values>
  void set(Values values) {
    for (int y = 0; y < height_; ++y) {
      float* const to = memory_.data() + margin_ + std::ptrdiff_t{y} * pitch_;
      const std::ptrdiff_t first = std::ptrdiff_t{y} * width_;
      for_each_overlapping<Lanes>(width_, [&](auto lanes, std::ptrdiff_t x) {
        store<lanes>(to + x, values(lanes, first + x));
      });
    }
  }

  template <int Lanes>
  void copy(const float* plane) {
    set<Lanes>([plane](auto lanes, std::ptrdiff_t i) { return load<lanes>(plane + i); });
  }

 private:
  int height_;
  int width_;
  int pitch_;
  std::ptrdiff_t margin_;  // floats before the first and after the last row
  std::vector<float> memory_;
};

}  // namespace ghostnet::cpu::training
