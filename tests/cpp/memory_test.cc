// Calls that run out of memory: one call after the other meets a failed allocation further on, in
// whichever thread makes it. Each reports that it failed, and the next has the right answer. Prints
// one line for each failure and exits with 1.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "packing.h"
#include "random_numbers.h"
#include "reference.h"

extern "C" {
void ghostnet_set_threads(int threads);
int ghostnet_forward(const float* pixels, std::int64_t images, std::int64_t height,
                     std::int64_t width, const std::int32_t* plan, std::int64_t plan_size,
                     const float* weights, std::int64_t weights_size, float* out,
                     std::int64_t outputs);
int GhostNetPointwise(int count, void** data, int* ranks, int64_t** shapes, const char**, void*,
                      void*);
int GhostNetPointwiseWeightGradient(int count, void** data, int* ranks, int64_t** shapes,
                                    const char**, void*, void*);
}

namespace {

constexpr long kNever = -1;
constexpr long kMostAllocations = 100000;

// How many allocations succeed from now on.
std::atomic<long> left{kNever};
std::atomic<bool> only_once{false};

bool fails() {
  long now = left.load();
  while (now > 0 && !left.compare_exchange_weak(now, now - 1)) {
  }
  if (now != 0) return false;
  if (only_once) left = kNever;
  return true;
}

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = fails() ? nullptr : std::malloc(std::max<std::size_t>(1, size));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Aligned memory lies in a larger allocation, whose address stands before it: not every system has
// std::aligned_alloc.
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::uintptr_t>(alignment);
  void* const whole = operator new(size + align + sizeof(void*));
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(whole) + sizeof(void*);
  void** const memory = reinterpret_cast<void**>((first + align - 1) / align * align);
  memory[-1] = whole;
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
  if (memory != nullptr) std::free(static_cast<void**>(memory)[-1]);
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

namespace {

using Floats = std::vector<float>;

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

Floats random_floats(std::size_t count) {
  static reference::RandomNumbers random(1);
  Floats values(count);
  for (float& value : values) value = static_cast<float>(random.normal(0, 1));
  return values;
}

// Fails the first allocation of `call`, which returns 0 or an error, then the second, and so on
// until a call needs no more of them. With `once`, later allocations of a call succeed.
void fail_each_allocation(const std::string& name, bool once, Floats& out,
                          const std::function<int()>& call) {
  check(call() == 0, name + ": failed with memory");
  const Floats expected = out;
  for (long count = 0; count < kMostAllocations; ++count) {
    only_once = once;
    left = count;
    const int error = call();
    const bool met = left.exchange(kNever) <= 0;
    check(error == 0 || met, name + ": failed with memory");
    std::fill(out.begin(), out.end(), -1.0F);
    check(call() == 0, name + ": failed after a call without memory");
    check(out == expected, name + ": wrong after a call without memory");
    if (!met) return;
  }
  check(false, name + ": allocates without end");
}

void fail_inference(int threads, int images, bool once) {
  constexpr int kSide = 33;
  const reference::Table table{
      reference::kRelu, 8, {{20, 12, 3, 2, 4}, {28, 12, 5, 1, 0}}, 40, 16, 11};
  const reference::Network network(table, 1);
  constexpr auto kPrecision = ghostnet::cpu::Precision::kFloat32;
  reference::Packer packer(kPrecision);
  packer.network(network);
  const std::vector<std::int32_t> plan = reference::plan_of(table, kPrecision);
  const Floats pixels = random_floats(std::size_t(images) * 3 * kSide * kSide);
  Floats out(std::size_t(images) * table.classes);
  ghostnet_set_threads(threads);
  fail_each_allocation("inference, threads " + std::to_string(threads), once, out, [&] {
    return ghostnet_forward(pixels.data(), images, kSide, kSide, plan.data(),
                            std::int64_t(plan.size()), packer.weights.data(),
                            std::int64_t(packer.weights.size()), out.data(), table.classes);
  });
}

using Operator = int (*)(int, void**, int*, int64_t**, const char**, void*, void*);

// An operator of training with two inputs.
void fail_training(const std::string& name, Operator run, std::vector<int64_t> first,
                   std::vector<int64_t> second, std::vector<int64_t> result, int threads,
                   bool once) {
  const auto size = [](const std::vector<int64_t>& shape) {
    return shape[0] * shape[1] * shape[2] * shape[3];
  };
  Floats a = random_floats(size(first));
  Floats b = random_floats(size(second));
  Floats out(size(result));
  void* data[] = {a.data(), b.data(), out.data()};
  int ranks[] = {4, 4, 4};
  int64_t* shapes[] = {first.data(), second.data(), result.data()};
  ghostnet_set_threads(threads);
  fail_each_allocation(name + ", threads " + std::to_string(threads), once, out,
                       [&] { return run(3, data, ranks, shapes, nullptr, nullptr, nullptr); });
}

}  // namespace

int main() {
  for (const bool once : {true, false}) {
    for (const int threads : {1, 2, 4}) {
      for (const int images : {1, 7, 16}) fail_inference(threads, images, once);
      fail_training("pointwise", GhostNetPointwise, {4, 24, 9, 9}, {40, 24, 1, 1}, {4, 40, 9, 9},
                    threads, once);
      fail_training("weight gradient", GhostNetPointwiseWeightGradient, {4, 40, 9, 9},
                    {4, 24, 9, 9}, {40, 24, 1, 1}, threads, once);
    }
  }
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
