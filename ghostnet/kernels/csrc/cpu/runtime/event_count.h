// An event count: threads wait on it for a condition, first spinning, then asleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "system/system.h"

namespace ghostnet::cpu {

// How often a thread that waits for its team checks before it sleeps. The threads of a team have
// about equal work, so a longer wait means that the other thread has no processor. Sleeping frees
// this one, and the system wakes the sleeper on an idle processor: two threads that share a
// processor come apart.
constexpr int kTeamSpins = 4000;

class EventCount {
 public:
  // Returns when `condition` holds. Sleeps if it does not hold within `spins` checks.
  template <class Condition>
  void wait(int spins, Condition condition) {
    for (; spins > 0; --spins) {
      if (condition()) return;
      system::pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    notified_.wait(lock, condition);
    sleepers_.fetch_sub(1);
  }

  // Wakes the sleepers. To be called after every change that can make a condition hold. The two
  // fences guarantee that the sleeper sees the change or the notifier sees the sleeper.
  void notify_all() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleepers_.load() == 0) return;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
    }
    notified_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable notified_;
  std::atomic<int> sleepers_{0};
};

}  // namespace ghostnet::cpu
