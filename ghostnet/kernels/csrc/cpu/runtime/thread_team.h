// A team of threads that compute the same images, and how they partition the work.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#include "ops/range.h"
#include "runtime/event_count.h"

namespace ghostnet::cpu {

// A barrier for a fixed number of threads.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  const int threads_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
  EventCount released_;
};

// One thread of a team.
struct TeamMember {
  int rank;
  int team_size;
  Barrier* barrier;  // null in a team of one

  void sync() const {
    if (team_size > 1) barrier->wait();
  }

  // This member's part of 0, …, count - 1. Parts begin at multiples of `grain`.
  Range part_of(std::ptrdiff_t count, std::ptrdiff_t grain = 1) const {
    const std::ptrdiff_t grains = (count + grain - 1) / grain;
    return {grains * rank / team_size * grain,
            std::min(count, grains * (rank + 1) / team_size * grain)};
  }
};

}  // namespace ghostnet::cpu
