#include "runtime/team_size.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/per_process.h"
#include "system/system.h"

namespace ghostnet::cpu {
namespace {

// The most calls without a member. A call that tries a late member again takes up to three times as
// long as one without it, which is then 3 % of all calls' time.
constexpr int kMaxPatience = 64;

const PerProcess<TeamSize> team_size;

CallTime now() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(time).count(), system::thread_seconds()};
}

// Whether a team takes longer than one with a member less, which computes size / (size - 1) times
// as long.
bool is_too_large(int size, CallTime time) {
  return time.elapsed * (size - 1) > time.computing * size;
}

}  // namespace

CallTimer::CallTimer() : start_(now()) {}

CallTime CallTimer::read() const {
  const CallTime end = now();
  return {end.elapsed - start_.elapsed, end.computing - start_.computing};
}

TeamSize& TeamSize::instance() { return *team_size; }

int TeamSize::for_call(int threads) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool tries_again = left_out_ > 0 && --calls_ < 0;
  return std::max(1, threads - left_out_ + (tries_again ? 1 : 0));
}

void TeamSize::report(int threads, int size, CallTime time) {
  // More threads than processors come late to one another, as their caller has to expect.
  if (size < 2 || threads > static_cast<int>(std::thread::hardware_concurrency())) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_too_large(size, time)) {
    left_out_ = threads - size + 1;
    calls_ = patience_;
    patience_ = std::min(kMaxPatience, 2 * patience_);
  } else if (size > threads - left_out_) {
    left_out_ = threads - size;
    calls_ = patience_ = 1;
  }
}

}  // namespace ghostnet::cpu
