// One pool of threads for the process. A caller leases it. A caller that finds it leased runs
// alone, so that concurrent calls never run more threads than were set plus one for each caller.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#include "runtime/event_count.h"

namespace ghostnet::cpu {

class ThreadPool {
 public:
  // A caller's hold on the pool of this process; a forked child gets its own.
  class Lease {
   public:
    // Asks for `threads` threads, the caller's among them.
    explicit Lease(int threads);

    // How many there are: fewer where the system starts no more or too many would share a
    // processor, and only the caller's where another caller has leased the pool.
    int threads() const { return threads_; }

    // Runs job(rank) for the ranks below threads(), rank 0 on the calling thread. Returns when
    // rank 0 is done and so are all others that had begun by then: a thread that gets no processor
    // in time is not waited for, unless the job itself waits for it at a barrier. If jobs throw,
    // throws what one of them threw. Idle threads then check for the next call so many times
    // before they sleep.
    template <class Job>
    void run(int idle_spins, const Job& job) const {
      if (threads_ == 1) return job(0);
      const auto call = [](const void* context, int rank) {
        (*static_cast<const Job*>(context))(rank);
      };
      pool_.run({call, &job, threads_}, idle_spins);
    }

   private:
    ThreadPool& pool_;
    std::unique_lock<std::mutex> lock_;
    int threads_ = 1;
  };

 private:
  struct Call {
    void (*job)(const void* context, int rank);
    const void* context;
    int threads;
  };

  // Returns how many of `threads` threads there are, after starting those that are missing.
  int start(int threads);
  void run(const Call& call, int idle_spins);
  void run_rank(int rank) noexcept;
  void open_call();
  void close_call();
  void run_thread(int rank, std::uint64_t seen);
  std::uint64_t join_call(int rank);
  void leave_call();

  std::mutex lease_;
  int started_ = 0;  // threads besides the callers
  Call call_{};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;  // the first of the call
  // The number of the call, whether threads may join it, and how many are in it; see the .cc file.
  std::atomic<std::uint64_t> state_{0};
  std::atomic<int> idle_spins_{0};
  EventCount called_;
  EventCount finished_;
};

}  // namespace ghostnet::cpu
