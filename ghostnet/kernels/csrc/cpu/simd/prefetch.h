// Weights of the dense layers to come, fetched into the cache while a pointwise convolution runs.
//
// For one picture a dense layer does little but wait for weights, and a pointwise convolution leaves
// the memory idle. So each step of the latter asks for one line of what the next dense layers read.
#pragma once

#include <cstddef>

namespace ghostnet::cpu {

constexpr std::ptrdiff_t kLineBytes = 64;

// Lines to ask for, one after the other.
struct Lines {
  const char* first;
  std::ptrdiff_t step;  // 0 where nothing is left to fetch

  void fetch(std::ptrdiff_t index) const { __builtin_prefetch(first + index * step); }
};

// Memory that will be read, from the first byte to the last.
struct Span {
  const char* begin;
  const char* end;
};

// What one thread of a team will read of the weights of some dense layers.
struct Upcoming {
  Span parts[2];
};

// How far one thread has fetched what it will read.
class Ahead {
 public:
  void aim(const Upcoming& upcoming) {
    if (upcoming.parts[0].begin == upcoming_.parts[0].begin) return;
    upcoming_ = upcoming;
    part_ = 0;
    next_ = upcoming.parts[0].begin;
  }

  // The next `count` lines, of which some may lie beyond what is left.
  Lines take(std::ptrdiff_t count) {
    if (part_ == 0 && next_ >= upcoming_.parts[0].end) {
      part_ = 1;
      next_ = upcoming_.parts[1].begin;
    }
    if (next_ >= upcoming_.parts[part_].end) return {next_, 0};
    const Lines lines{next_, kLineBytes};
    next_ += count * kLineBytes;
    return lines;
  }

 private:
  Upcoming upcoming_{};
  int part_ = 0;
  const char* next_ = nullptr;
};

}  // namespace ghostnet::cpu
