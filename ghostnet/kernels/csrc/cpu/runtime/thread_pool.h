// One pool of threads for the process. A caller leases it; a caller that finds it leased works
// alone, so that several calls at once never run more threads than were asked for and callers.
#pragma once

#include <atomic>
#include <mutex>

#include "runtime/event_count.h"

namespace ghostnet::cpu {

class ThreadPool {
 public:
  // The pool of this process (a forked child gets its own).
  static ThreadPool& instance();

  // Runs job(rank) for every rank below `threads`, rank 0 on the calling thread, and returns when
  // all are done. False, with nothing run, where another caller has the pool.
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
  void work(int rank, unsigned round);
  unsigned await_next(unsigned seen);

  std::mutex lease_;
  int started_ = 0;
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int active_ = 0;
  std::atomic<unsigned> round_{0};
  std::atomic<int> running_{0};
  Gate begun_;
  Gate ended_;
};

}  // namespace ghostnet::cpu
