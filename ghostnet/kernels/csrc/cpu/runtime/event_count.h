// Where threads wait for one another: they spin for a while, then sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace ghostnet::cpu {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Gate {
 public:
  // Returns when `ready` holds; sleeps where `spins` looks were not enough.
  template <class Ready>
  void wait(int spins, Ready ready) {
    for (; spins > 0; --spins) {
      if (ready()) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    opened_.wait(lock, ready);
    sleepers_.fetch_sub(1);
  }

  // Wakes the sleepers; to be called after every change that can make a `ready` hold. The fences
  // see to it that of a sleeper and an opener at least one notices the other.
  void open() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleepers_.load() == 0) return;
    { const std::lock_guard<std::mutex> lock(mutex_); }
    opened_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::atomic<int> sleepers_{0};
};

}  // namespace ghostnet::cpu
