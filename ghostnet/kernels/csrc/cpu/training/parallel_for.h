// How the threads of an operator share its channels.
#pragma once

#include <atomic>

#include "runtime/thread_pool.h"

namespace ghostnet::cpu::training {

// Deals out 0 .. count - 1, each once, to whoever asks.
class Tasks {
 public:
  explicit Tasks(std::ptrdiff_t count) : count_(count) {}

  // body(task) for every task that this thread gets.
  template <class Body>
  void each(Body body) {
    for (std::ptrdiff_t task = next_++; task < count_; task = next_++) body(task);
  }

 private:
  const std::ptrdiff_t count_;
  std::atomic<std::ptrdiff_t> next_{0};
};

// work(tasks) on every thread; on this one alone where another call has the pool.
template <class Work>
void share(int threads, std::ptrdiff_t count, Work work) {
  Tasks tasks(count);
  const auto job = [&](int) { work(tasks); };
  if (threads == 1 || !ThreadPool::instance().try_run(threads, job)) job(0);
}

}  // namespace ghostnet::cpu::training
