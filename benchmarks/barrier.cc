// Measures how long the two threads of a team take to meet at a barrier, in nanoseconds: two cores
// exchange the barrier's cache line.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "runtime/thread_team.h"

int main() {
  constexpr int kRounds = 41;
  constexpr int kMeetings = 20'000;
  ghostnet::cpu::Barrier barrier(2);
  std::vector<double> nanoseconds;
  const auto meet = [&](bool keeps_time) {
    for (int round = 0; round < kRounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      for (int meeting = 0; meeting < kMeetings; ++meeting) barrier.wait();
      const std::chrono::duration<double, std::nano> taken =
          std::chrono::steady_clock::now() - start;
      if (keeps_time) nanoseconds.push_back(taken.count() / kMeetings);
    }
  };
  std::thread other(meet, false);
  meet(true);
  other.join();
  std::nth_element(nanoseconds.begin(), nanoseconds.begin() + kRounds / 2, nanoseconds.end());
  std::printf("%.1f\n", nanoseconds[kRounds / 2]);
}
