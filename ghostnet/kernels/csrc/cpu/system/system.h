// What systems do differently. No other file names one.
#pragma once

#include <cstddef>

namespace ghostnet::cpu::system {

// Tells the processor that this thread spins.
inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Asks for huge pages under memory that begins and ends at multiples of one.
void use_huge_pages(void* memory, std::size_t bytes);

// Calls a function in every child that this process forks from now on.
void call_in_children(void (*function)());

// The seconds for which this thread has had a processor; where the system counts them too coarsely,
// those that have passed.
double thread_seconds();

// Whether this process may use the tile registers of AMX. Asks the system for them.
bool allows_amx();

// Whether the system turns the registers of AVX-512 on when a thread first uses them. Until then
// the processor reports that they are off.
bool enables_avx512_on_demand();

// The extensions of an ARM processor that only the system can tell; none on other processors.
struct ArmExtensions {
  bool dot_product = false;
  bool i8mm = false;  // products of matrices of bytes
  bool bf16 = false;
};
ArmExtensions arm_extensions();

}  // namespace ghostnet::cpu::system
