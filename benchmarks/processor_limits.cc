// Measures the limits of one core: how fast it reads weights from beyond its second-level cache,
// and how fast it multiplies with AMX, where it has that. With `fma_peak.cc`, these bound the
// fused kernels.
//
//   cpu=ghostnet/kernels/csrc/cpu
//   g++ -O3 -march=native -I $cpu benchmarks/processor_limits.cc $cpu/simd/amx_tile.cc \
//     -DGHOSTNET_AMX -o processor_limits && ./processor_limits
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "simd/amx.h"
#include "simd/vector.h"

namespace {

using namespace ghostnet::cpu;

constexpr int kRounds = 41;

double median_seconds(const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    seconds.push_back(taken.count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  return seconds[kRounds / 2];
}

// Reads as many bytes as GhostNet-1x has weights.
double bytes_per_second() {
  constexpr int kVectors = 8;
  const std::vector<float> weights(5'200'000 / (kVectors * 16) * kVectors * 16, 1.0F);
  volatile float result = 0;
  const double seconds = median_seconds([&] {
    Floats<16> sums[kVectors] = {};
    for (std::size_t i = 0; i < weights.size(); i += kVectors * 16) {
      for (int v = 0; v < kVectors; ++v) sums[v] += load<16>(weights.data() + i + v * 16);
    }
    for (const Floats<16>& vector : sums) result = result + sum<16>(vector);
  });
  return weights.size() * sizeof(float) / seconds;
}

// bfloat16 multiply-adds on registers alone, without loads.
double amx_multiply_adds_per_second() {
  constexpr int kRepeats = 10'000;
  const amx::Session session;
  const double seconds = median_seconds([] {
    for (int i = 0; i < kRepeats; ++i) {
      amx::multiply_add<0, 4, 6>();
      amx::multiply_add<1, 4, 7>();
      amx::multiply_add<2, 5, 6>();
      amx::multiply_add<3, 5, 7>();
    }
  });
  return 4.0 * kRepeats * amx::kTileRows * amx::kTileRows * amx::kTileDepth / seconds;
}

}  // namespace

int main() {
  std::printf("weights read: %.0f GB/s\n", bytes_per_second() / 1e9);
  if (amx::is_available()) {
    std::printf("AMX: %.0f G bfloat16 multiply-adds/s\n",
                amx_multiply_adds_per_second() / 1e9);
  }
}
