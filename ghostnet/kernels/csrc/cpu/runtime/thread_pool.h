// One pool of threads for the process. A caller leases it. A caller that finds it leased runs
// alone, so that concurrent calls never run more threads than were set plus one for each caller.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/event_count.h"

namespace ghostnet::cpu {

class ThreadPool {
 public:
  // The pool of this process; a forked child gets its own.
  static ThreadPool& instance();

  // Runs job(rank) for the ranks below `threads`, rank 0 on the calling thread. Returns when rank 0
  // is done and so are all others that had begun by then: a thread that gets no processor in time
  // is not waited for, unless the job itself waits for it at a barrier. Returns false, and runs
  // nothing, if another caller has leased the pool. Idle threads then check for the next call so
  // many times before they sleep.
  template <class Job>
  bool try_run(int threads, int idle_spins, const Job& job) {
    const auto call = [](const void* context, int rank) {
      (*static_cast<const Job*>(context))(rank);
    };
    return try_run(threads, idle_spins, call, &job);
  }

 private:
  using Call = void (*)(const void* context, int rank);

  bool try_run(int threads, int idle_spins, Call call, const void* context);
  void open_call();
  void close_call();
  void run_thread(int rank, std::uint64_t seen);
  std::uint64_t join_call(int rank);
  void leave_call();

  std::mutex lease_;
  int started_ = 0;  // threads besides the callers
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int active_ = 0;
  // The number of the call, whether threads may join it, and how many are in it; see the .cc file.
  std::atomic<std::uint64_t> state_{0};
  std::atomic<int> idle_spins_{0};
  EventCount called_;
  EventCount finished_;
};

}  // namespace ghostnet::cpu
