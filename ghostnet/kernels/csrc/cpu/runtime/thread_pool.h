// One pool of threads for the process. A caller leases it. A caller that finds it leased runs
// alone, so that concurrent calls never run more threads than were set plus one for each caller.
#pragma once

#include <atomic>
#include <mutex>

#include "runtime/event_count.h"

namespace ghostnet::cpu {

class ThreadPool {
 public:
  // The pool of this process; a forked child gets its own.
  static ThreadPool& instance();

  // Runs job(rank) for every rank below `threads`, rank 0 on the calling thread, and returns when
  // all are done. Returns false, and runs nothing, if another caller has leased the pool.
  template <class Job>
  bool try_run(int threads, const Job& job) {
    const auto call = [](const void* context, int rank) {
      (*static_cast<const Job*>(context))(rank);
    };
    return try_run(threads, call, &job);
  }

 private:
  using Call = void (*)(const void* context, int rank);

  bool try_run(int threads, Call call, const void* context);
  void run_thread(int rank, unsigned generation);
  unsigned await_call(unsigned last_generation);

  std::mutex lease_;
  int started_ = 0;  // threads besides the callers
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int active_ = 0;
  std::atomic<unsigned> generation_{0};  // counts the calls
  std::atomic<int> running_{0};
  EventCount called_;
  EventCount finished_;
};

}  // namespace ghostnet::cpu
