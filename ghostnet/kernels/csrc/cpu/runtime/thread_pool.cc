#include "runtime/thread_pool.h"

#include <thread>

#include "runtime/per_process.h"

namespace ghostnet::cpu {
namespace {

// The fields of the state.
constexpr std::uint64_t kMember = 1;
constexpr std::uint64_t kMembers = 0x7fffffff;
constexpr std::uint64_t kOpen = kMembers + 1;
constexpr std::uint64_t kCall = kOpen << 1;

std::uint64_t call_number(std::uint64_t state) { return state / kCall; }

const PerProcess<ThreadPool> pool;

}  // namespace

ThreadPool& ThreadPool::instance() { return *pool; }

bool ThreadPool::try_run(int threads, int idle_spins, Call call, const void* context) {
  const std::unique_lock<std::mutex> lease(lease_, std::try_to_lock);
  if (!lease.owns_lock()) return false;
  for (; started_ < threads - 1; ++started_) {
    std::thread(&ThreadPool::run_thread, this, started_ + 1, call_number(state_)).detach();
  }
  call_ = call;
  context_ = context;
  active_ = threads;
  idle_spins_.store(idle_spins, std::memory_order_relaxed);
  open_call();
  call(context, 0);
  close_call();
  return true;
}

void ThreadPool::open_call() {
  state_.fetch_add(kCall + kOpen, std::memory_order_release);
  called_.notify_all();
}

void ThreadPool::close_call() {
  state_.fetch_sub(kOpen, std::memory_order_relaxed);
  finished_.wait(kTeamSpins, [this] {
    return (state_.load(std::memory_order_acquire) & kMembers) == 0;
  });
}

void ThreadPool::run_thread(int rank, std::uint64_t seen) {
  for (;;) {
    called_.wait(idle_spins_.load(std::memory_order_relaxed), [&] {
      return call_number(state_.load(std::memory_order_relaxed)) != seen;
    });
    seen = join_call(rank);
  }
}

// Takes part in the call if it is still open. Returns its number.
std::uint64_t ThreadPool::join_call(int rank) {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  while ((state & kOpen) != 0) {
    if (!state_.compare_exchange_weak(state, state + kMember, std::memory_order_acquire)) continue;
    if (rank < active_) call_(context_, rank);
    leave_call();
    break;
  }
  return call_number(state);
}

void ThreadPool::leave_call() {
  const std::uint64_t left = state_.fetch_sub(kMember, std::memory_order_release) - kMember;
  if ((left & (kOpen | kMembers)) == 0) finished_.notify_all();
}

}  // namespace ghostnet::cpu
