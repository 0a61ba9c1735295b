#include "runtime/thread_team.h"

namespace ghostnet::cpu {

void Barrier::wait() {
  const unsigned generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    released_.notify_all();
  } else {
    released_.wait(kTeamSpins,
                   [&] { return generation_.load(std::memory_order_acquire) != generation; });
  }
}

}  // namespace ghostnet::cpu
