// A team of threads that work on the same pictures, and how they share the work.
#pragma once

#include <atomic>

#include "runtime/event_count.h"
#include "ops/planes.h"

namespace ghostnet::cpu {

// A barrier for a fixed number of threads.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait();

 private:
  const int threads_;
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> round_{0};
  Gate gate_;
};

// One thread of a team that works on the same pictures.
struct Worker {
  int rank;
  int size;
  Barrier* barrier;

  void sync() const {
    if (size > 1) barrier->wait();
  }

  // This worker's part of 0 .. count - 1, in whole multiples of `grain` but for the last.
  Range share(std::ptrdiff_t count, std::ptrdiff_t grain = 1) const {
    const std::ptrdiff_t grains = (count + grain - 1) / grain;
    return {grains * rank / size * grain,
            std::min(count, grains * (rank + 1) / size * grain)};
  }
};

}  // namespace ghostnet::cpu
