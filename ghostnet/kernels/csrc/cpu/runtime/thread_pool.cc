#include "runtime/thread_pool.h"

#include <pthread.h>

#include <thread>

#include "runtime/thread_team.h"

namespace ghostnet::cpu {
namespace {

// Before a thread without a call goes to sleep: a fifth of a millisecond or more, about as long as
// MindSpore takes from one call to the next. Ten times as many spins gave no shorter calls.
constexpr int kIdleSpins = 20000;

// Before a thread that waits for its team goes to sleep: the parts of a team are much the same, so
// a longer wait means that the other thread has no processor. Sleeping frees this one, and the
// kernel wakes a sleeper on an idle processor: two threads that share one do not stay together.
constexpr int kWaitSpins = 4000;

ThreadPool* pool = new ThreadPool;

}  // namespace

void Barrier::wait() {
  const unsigned round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    gate_.open();
  } else {
    gate_.wait(kWaitSpins, [&] { return round_.load(std::memory_order_acquire) != round; });
  }
}

// The threads outlive every static object, so the pool is never destroyed; a forked child has none
// of them and starts afresh.
ThreadPool& ThreadPool::instance() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new ThreadPool; });
  (void)registered;
  return *pool;
}

bool ThreadPool::try_run(int threads, Call call, const void* context) {
  const std::unique_lock<std::mutex> lease(lease_, std::try_to_lock);
  if (!lease.owns_lock()) return false;
  for (; started_ < threads - 1; ++started_) {
    std::thread(&ThreadPool::work, this, started_ + 1, round_.load()).detach();
  }
  call_ = call;
  context_ = context;
  active_ = threads;
  running_.store(started_, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  begun_.open();
  call(context, 0);
  ended_.wait(kWaitSpins, [this] { return running_.load(std::memory_order_acquire) == 0; });
  return true;
}

void ThreadPool::work(int rank, unsigned round) {
  for (;;) {
    round = await_next(round);
    if (rank < active_) call_(context_, rank);
    if (running_.fetch_sub(1, std::memory_order_release) == 1) ended_.open();
  }
}

unsigned ThreadPool::await_next(unsigned seen) {
  begun_.wait(kIdleSpins, [&] { return round_.load(std::memory_order_acquire) != seen; });
  return round_.load(std::memory_order_acquire);
}

}  // namespace ghostnet::cpu
