// What Linux and macOS have in common.
#include <pthread.h>
#include <time.h>

#include "system/system.h"

namespace ghostnet::cpu::system {

void call_in_children(void (*function)()) { pthread_atfork(nullptr, nullptr, function); }

double thread_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

}  // namespace ghostnet::cpu::system
