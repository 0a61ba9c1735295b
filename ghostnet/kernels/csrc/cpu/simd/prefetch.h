// Software prefetch of weights into the cache while arithmetic runs.
//
// A dense layer on one image spends its time waiting for weights, and a pointwise convolution
// leaves the memory idle. Each step of a pointwise convolution therefore prefetches one cache line
// of the weights of the next dense layers.
#pragma once

#include <cstddef>

namespace ghostnet::cpu {

constexpr std::ptrdiff_t kCacheLineBytes = 64;

// Consecutive cache lines, for a loop that prefetches one of them in each step. They go to the
// second-level cache, since the first holds what the loop works on.
struct CacheLines {
  const char* first;
  std::ptrdiff_t step;  // bytes from line to line; 0 where nothing is left to prefetch

  void prefetch(std::ptrdiff_t index) const {
    constexpr int kForReading = 0;
    constexpr int kSecondLevel = 2;
    __builtin_prefetch(first + index * step, kForReading, kSecondLevel);
  }
};

struct MemoryRange {
  const char* begin;
  const char* end;
};

// Weights that a thread will read for the next dense layers, in the order of reading.
struct PrefetchTargets {
  MemoryRange ranges[2];
};

// How far one thread has prefetched its targets.
class Prefetcher {
 public:
  void retarget(const PrefetchTargets& targets) {
    if (targets.ranges[0].begin == targets_.ranges[0].begin) return;
    targets_ = targets;
    range_ = 0;
    next_ = targets.ranges[0].begin;
  }

  // The next `count` lines. The last of them may lie beyond the end of the range.
  CacheLines take(std::ptrdiff_t count) {
    if (range_ == 0 && next_ >= targets_.ranges[0].end) {
      range_ = 1;
      next_ = targets_.ranges[1].begin;
    }
    if (next_ >= targets_.ranges[range_].end) return {next_, 0};
    const CacheLines lines{next_, kCacheLineBytes};
    next_ += count * kCacheLineBytes;
    return lines;
  }

 private:
  PrefetchTargets targets_{};
  int range_ = 0;
  const char* next_ = nullptr;
};

}  // namespace ghostnet::cpu
