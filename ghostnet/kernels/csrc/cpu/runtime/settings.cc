#include "runtime/settings.h"

#include <algorithm>
#include <atomic>

namespace ghostnet::cpu {
namespace {

std::atomic<int> chosen_threads{1};

std::atomic<InstructionSet>& chosen_set() {
  static std::atomic<InstructionSet> set{supported_instruction_sets().front()};
  return set;
}

}  // namespace

Settings settings() { return {chosen_threads.load(), chosen_set().load()}; }

void set_threads(int threads) { chosen_threads.store(std::max(1, threads)); }

void set_instruction_set(InstructionSet set) { chosen_set().store(set); }

}  // namespace ghostnet::cpu
