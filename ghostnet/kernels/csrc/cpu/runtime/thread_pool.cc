#include "runtime/thread_pool.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/per_process.h"

namespace ghostnet::cpu {
namespace {

// The fields of the state.
constexpr std::uint64_t kMember = 1;
constexpr std::uint64_t kMembers = 0x7fffffff;
constexpr std::uint64_t kOpen = kMembers + 1;
constexpr std::uint64_t kCall = kOpen << 1;

std::uint64_t call_number(std::uint64_t state) { return state / kCall; }

// The most threads of a call, unless the machine has more processors. Threads that share processors
// wait for one another at every barrier: with hundreds of them, a call takes seconds.
constexpr int kMostThreads = 16;

int most_threads() {
  static const int processors = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(kMostThreads, processors);
}

const PerProcess<ThreadPool> pool;

}  // namespace

ThreadPool::Lease::Lease(int threads) : pool_(*pool) {
  if (threads == 1) return;
  lock_ = std::unique_lock<std::mutex>(pool_.lease_, std::try_to_lock);
  if (lock_.owns_lock()) threads_ = pool_.start(std::min(threads, most_threads()));
}

int ThreadPool::start(int threads) {
  try {
    for (; started_ < threads - 1; ++started_) {
      std::thread(&ThreadPool::run_thread, this, started_ + 1, call_number(state_)).detach();
    }
  } catch (const std::system_error&) {  // the system starts no more
  } catch (const std::bad_alloc&) {
  }
  return std::min(threads, started_ + 1);
}

void ThreadPool::run(const Call& call, int idle_spins) {
  call_ = call;
  idle_spins_.store(idle_spins, std::memory_order_relaxed);
  open_call();
  run_rank(0);
  close_call();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::run_rank(int rank) noexcept {
  try {
    call_.job(call_.context, rank);
  } catch (...) {
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
}

void ThreadPool::open_call() {
  state_.fetch_add(kCall + kOpen, std::memory_order_release);
  called_.notify_all();
}

void ThreadPool::close_call() {
  state_.fetch_sub(kOpen, std::memory_order_relaxed);
  finished_.wait(kTeamSpins,
                 [this] { return (state_.load(std::memory_order_acquire) & kMembers) == 0; });
}

void ThreadPool::run_thread(int rank, std::uint64_t seen) {
  for (;;) {
    called_.wait(idle_spins_.load(std::memory_order_relaxed),
                 [&] { return call_number(state_.load(std::memory_order_relaxed)) != seen; });
    seen = join_call(rank);
  }
}

// Takes part in the call if it is still open. Returns its number.
std::uint64_t ThreadPool::join_call(int rank) {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  while ((state & kOpen) != 0) {
    if (!state_.compare_exchange_weak(state, state + kMember, std::memory_order_acquire)) continue;
    if (rank < call_.threads) run_rank(rank);
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
