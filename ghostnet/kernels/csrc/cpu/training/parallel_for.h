// A parallel loop whose threads take the next index as soon as they are free.
#pragma once

#include <atomic>
#include <cstddef>

#include "runtime/thread_pool.h"

namespace ghostnet::cpu::training {

// How often an idle thread checks for the next operator before it sleeps. More of it does not
// shorten a step on a quiet machine; beside another process, it takes the processor from the
// caller, which then computes by a quarter less.
constexpr int kIdleSpins = 1000;

// Hands out the indices 0, …, count - 1, each once, to whichever thread asks next.
class IndexQueue {
 public:
  explicit IndexQueue(std::ptrdiff_t count) : count_(count) {}

  // body(index) for every index that this thread takes.
  template <class Body>
  void for_each(Body body) {
    for (std::ptrdiff_t index = next_++; index < count_; index = next_++) body(index);
  }

 private:
  const std::ptrdiff_t count_;
  std::atomic<std::ptrdiff_t> next_{0};
};

// Compiled once for each kind of work. Where the compiler inlines a loop in several places, it may
// contract multiplications and additions differently in each, and answers would depend on threads.
template <class Work>
[[gnu::noinline]] void take_indices(const Work& work, IndexQueue& indices) {
  work(indices);
}

// Calls work(indices) on every thread that comes in time; `work` can allocate what its thread needs
// before it takes indices. Runs on the calling thread alone if another call has leased the thread
// pool. Throws what a thread threw, after the others have finished; then some indices may be
// missing.
template <class Work>
void parallel_for(int threads, std::ptrdiff_t count, Work work) {
  IndexQueue indices(count);
  ThreadPool::Lease(threads).run(kIdleSpins, [&](int) { take_indices(work, indices); });
}

}  // namespace ghostnet::cpu::training
