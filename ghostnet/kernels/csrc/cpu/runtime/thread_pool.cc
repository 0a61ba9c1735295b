#include "runtime/thread_pool.h"

#include <thread>

#include "runtime/per_process.h"

namespace ghostnet::cpu {
namespace {

// How often an idle thread checks for a call before it sleeps: at least 0.2 ms, about the time that
// MindSpore takes from one call to the next. Ten times as many spins did not shorten calls.
constexpr int kIdleSpins = 20000;

const PerProcess<ThreadPool> pool;

}  // namespace

ThreadPool& ThreadPool::instance() { return *pool; }

bool ThreadPool::try_run(int threads, Call call, const void* context) {
  const std::unique_lock<std::mutex> lease(lease_, std::try_to_lock);
  if (!lease.owns_lock()) return false;
  for (; started_ < threads - 1; ++started_) {
    std::thread(&ThreadPool::run_thread, this, started_ + 1, generation_.load()).detach();
  }
  call_ = call;
  context_ = context;
  active_ = threads;
  running_.store(started_, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  called_.notify_all();
  call(context, 0);
  finished_.wait(kTeamSpins, [this] { return running_.load(std::memory_order_acquire) == 0; });
  return true;
}

void ThreadPool::run_thread(int rank, unsigned generation) {
  for (;;) {
    generation = await_call(generation);
    if (rank < active_) call_(context_, rank);
    if (running_.fetch_sub(1, std::memory_order_release) == 1) finished_.notify_all();
  }
}

unsigned ThreadPool::await_call(unsigned last_generation) {
  called_.wait(kIdleSpins, [&] {
    return generation_.load(std::memory_order_acquire) != last_generation;
  });
  return generation_.load(std::memory_order_acquire);
}

}  // namespace ghostnet::cpu
