// How many threads share one image. Where another process keeps a processor busy, a member of the
// team comes late to its barriers, and the others wait for it for longer than they would take
// without it. A caller that waits so long leaves a member out of the next calls, and tries again
// from time to time.
#pragma once

#include <mutex>

namespace ghostnet::cpu {

// The time of a call, and for how much of it the caller had a processor, in seconds.
struct CallTime {
  double elapsed;
  double computing;
};

// Measures the call of this thread from construction on.
class CallTimer {
 public:
  CallTimer();
  CallTime read() const;

 private:
  const CallTime start_;
};

class TeamSize {
 public:
  // The team of this process.
  static TeamSize& instance();

  // The size of the team of a call for which so many threads are set.
  int for_call(int threads);

  // Tells how long a call of `threads` took with a team of `size`.
  void report(int threads, int size, CallTime time);

 private:
  std::mutex mutex_;
  int left_out_ = 0;  // members
  int calls_ = 0;     // until one more member takes part again
  int patience_ = 1;  // calls after the next failure
};

}  // namespace ghostnet::cpu
