// What one core can do at most: read weights from beyond its second-level cache, and multiply on its
// matrix unit (AMX), where there is one. With `fma_peak.cc`, the limits of the fused kernels.
//
//   g++ -O3 -march=native -I ghostnet/kernels/csrc/cpu benchmarks/processor_limits.cc \
//     ghostnet/kernels/csrc/cpu/ops/amx_packing.cc -DGHOSTNET_AMX -o processor_limits && ./processor_limits
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

// As many bytes as GhostNet-1x has weights.
double bytes_per_second() {
  constexpr int kPacks = 8;
  const std::vector<float> weights(5'200'000 / (kPacks * 16) * kPacks * 16, 1.0F);
  volatile float result = 0;
  const double seconds = median_seconds([&] {
    Floats<16> sums[kPacks] = {};
    for (std::size_t i = 0; i < weights.size(); i += kPacks * 16) {
      for (int p = 0; p < kPacks; ++p) sums[p] += load<16>(weights.data() + i + p * 16);
    }
    for (const Floats<16>& pack : sums) result = result + sum<16>(pack);
  });
  return weights.size() * sizeof(float) / seconds;
}

// bfloat16 multiply-adds, without loads.
double tile_multiply_adds_per_second() {
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
  return 4.0 * kRepeats * Tiles::kRows * Tiles::kRows * Tiles::kDepth / seconds;
}

}  // namespace

int main() {
  std::printf("weights read: %.0f GB/s\n", bytes_per_second() / 1e9);
  if (has_tiles()) {
    std::printf("matrix unit: %.0f G bfloat16 multiply-adds/s\n",
                tile_multiply_adds_per_second() / 1e9);
  }
}
