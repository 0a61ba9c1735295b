// Measures the most float32 multiply-adds that one core does in a second, in billions.
#include <algorithm>
#include <chrono>
#include <cstdio>

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * sizeof(float))));

int main() {
  constexpr int kSums = 12;  // enough independent sums to hide the latency of an addition
  constexpr int kSteps = 10'000'000;
  double best = 0;
  float total = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    Floats sums[kSums];
    // All different, or the compiler would merge them.
    for (int i = 0; i < kSums; ++i) sums[i] = Floats{} + float(i);
    Floats factor = {};
    const auto start = std::chrono::steady_clock::now();
    for (int step = 0; step < kSteps; ++step) {
      asm("" : "+x"(factor));  // hides the value, or the compiler would compute the sums
#pragma GCC unroll 12
      for (Floats& sum : sums) sum += factor * sum;
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, double(kSteps) * kSums * kLanes / seconds.count());
    for (const Floats& sum : sums) total += sum[0];
  }
  std::printf("%.2f\n", best / 1e9 + 0 * total);
}
