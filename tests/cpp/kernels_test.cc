// Compares the kernels with the reference, over shapes, batches, instruction sets and threads.
// Meant to run under AddressSanitizer and UndefinedBehaviorSanitizer: every buffer is an allocation
// of its own. Prints one line for each failure and exits with 1. The arguments are the largest
// batch to try, by default 9, and the seed of the random numbers, by default 1.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "network/inference.h"
#include "packing.h"
#include "random_numbers.h"
#include "reference.h"
#include "runtime/settings.h"
#include "runtime/team_size.h"

namespace {

using reference::Map;
using reference::Network;
using reference::Row;
using reference::Table;

using ghostnet::cpu::Precision;

constexpr double kTolerances[] = {1e-4, 0.1};  // of the largest output, by precision
constexpr int kThreads[] = {1, 3, 4, 8};
constexpr float kCanary = -12345.5F;
constexpr int kCanaries = 64;

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

// Floats in an allocation of their own, with canaries before and after them.
class Guarded {
 public:
  explicit Guarded(std::size_t size) : size_(size), memory_(new float[size + 2 * kCanaries]) {
    std::fill_n(memory_.get(), size + 2 * kCanaries, kCanary);
  }

  float* data() { return memory_.get() + kCanaries; }
  std::size_t size() const { return size_; }

  bool intact() const {
    const auto is_canary = [](float value) { return value == kCanary; };
    return std::all_of(memory_.get(), memory_.get() + kCanaries, is_canary) &&
           std::all_of(memory_.get() + kCanaries + size_, memory_.get() + 2 * kCanaries + size_,
                       is_canary);
  }

 private:
  std::size_t size_;
  std::unique_ptr<float[]> memory_;
};

struct Case {
  std::string name;
  Table table;
  int height;
  int width;
};

// A small network has every kind of layer at every resolution. Channels are odd multiples, so that
// channel tiles come in all sizes.
std::vector<Case> cases() {
  const Table relu{reference::kRelu,
                   8,
                   {{8, 8, 3, 1, 0},
                    {20, 12, 3, 2, 0},
                    {28, 12, 5, 1, 4},
                    {36, 20, 5, 2, 12},
                    {60, 20, 5, 1, 16},
                    {100, 36, 3, 2, 0},
                    {92, 40, 3, 1, 20},
                    {120, 52, 5, 2, 28}},
                   100,
                   76,
                   11};
  Table swish = relu;
  swish.activation = reference::kHardSwish;
  swish.classes = 0;
  const Table wide{
      reference::kRelu, 16, {{16, 16, 3, 1, 0}, {48, 26, 5, 1, 4}, {74, 26, 5, 2, 0}}, 60, 33, 7};
  const Table residual{reference::kRelu6,
                       8,
                       {{8, 5, 3, 1, 0},
                        {30, 7, 3, 2, 0},
                        {42, 7, 3, 1, 0},
                        {47, 20, 3, 1, 0},
                        {100, 20, 3, 1, 0},
                        {90, 37, 3, 2, 0},
                        {111, 37, 3, 1, 0},
                        {96, 53, 3, 2, 0}},
                       99,
                       0,
                       11,
                       reference::kInvertedResidual};
  Table features = residual;
  features.classes = 0;
  Table summed{reference::kRelu,
               8,
               {{5, 8, 3, 1, 0},
                {11, 13, 3, 2, 0},
                {29, 13, 5, 1, 4},
                {18, 20, 5, 2, 12},
                {60, 21, 5, 1, 16},
                {92, 36, 3, 2, 0},
                {60, 36, 3, 1, 20}},
               100,
               76,
               11,
               reference::kRepGhostBottleneck};
  Table nearest = relu;
  for (std::size_t row = 2; row < nearest.rows.size(); ++row) {
    nearest.rows[row].upsampling = reference::kNearest;
  }
  Table bilinear = nearest;
  for (Row& row : bilinear.rows) row.upsampling = reference::kBilinear;
  return {{"relu", relu, 64, 64},
          {"relu", relu, 32, 32},
          {"relu", relu, 61, 97},
          {"relu", relu, 193, 227},
          {"swish", swish, 75, 53},
          {"swish", swish, 33, 130},
          {"wide", wide, 96, 31},
          {"wide", wide, 7, 5},
          {"relu", relu, 1, 1},
          {"swish", swish, 2, 19},
          {"residual", residual, 64, 64},
          {"residual", residual, 61, 97},
          {"residual", residual, 193, 227},
          {"residual", residual, 33, 130},
          {"residual", residual, 1, 1},
          {"summed", summed, 64, 64},
          {"summed", summed, 193, 227},
          {"summed", summed, 33, 130},
          {"summed", summed, 1, 1},
          {"nearest", nearest, 64, 64},
          {"nearest", nearest, 61, 97},
          {"nearest", nearest, 193, 227},
          {"nearest", nearest, 33, 130},
          {"nearest", nearest, 17, 17},
          {"bilinear", bilinear, 75, 53},
          {"bilinear", bilinear, 193, 227},
          {"bilinear", bilinear, 19, 33},
          {"features", features, 75, 53},
          {"features", features, 2, 19}};
}

void compare(const std::vector<double>& expected, const float* actual, Precision precision,
             const std::string& what) {
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(expected[i]));
    difference = std::max(difference, std::abs(expected[i] - actual[i]));
    if (std::isnan(actual[i])) difference = INFINITY;
  }
  check(difference <= kTolerances[int(precision)] * largest,
        what + ": off by " + std::to_string(difference) + " of " + std::to_string(largest));
}

// Checks one network at one size, with all batches, instruction sets and threads.
void check_case(const Case& one, Precision precision, unsigned seed, int images) {
  const Network network(one.table, seed);
  const std::size_t image_size = std::size_t(3) * one.height * one.width;
  Guarded pixels(image_size * images);
  reference::RandomNumbers random(seed + 1);
  std::vector<std::vector<double>> expected;
  for (int i = 0; i < images; ++i) {
    Map map(3, one.height, one.width);
    for (std::size_t p = 0; p < image_size; ++p) {
      const auto pixel = static_cast<float>(random.normal(0, 1));
      map.data[p] = pixels.data()[i * image_size + p] = pixel;
    }
    expected.push_back(network(map));
  }

  reference::Packer packer(precision);
  packer.network(network);
  Guarded weights(packer.weights.size());
  std::copy(packer.weights.begin(), packer.weights.end(), weights.data());
  const std::vector<std::int32_t> plan = reference::plan_of(one.table, precision);
  const ghostnet::cpu::Model model = ghostnet::cpu::read_model(
      {plan.data(), std::int64_t(plan.size()), weights.data(), std::int64_t(weights.size())});

  for (const auto set : ghostnet::cpu::supported_instruction_sets()) {
    if (ghostnet::cpu::forward_for(set, precision) == nullptr) continue;
    ghostnet::cpu::set_instruction_set(set);
    for (const int threads : kThreads) {
      ghostnet::cpu::set_threads(threads);
      for (int batch = 1; batch <= images; ++batch) {
        Guarded out(expected[0].size() * batch);
        ghostnet::cpu::run(model, {pixels.data(), one.height, one.width, out.data()}, batch);
        const std::string what = one.name + " " + std::to_string(one.height) + "x" +
                                 std::to_string(one.width) + " " + ghostnet::cpu::name(set) +
                                 (precision == Precision::kInt8 ? " int8" : "") + " threads " +
                                 std::to_string(threads) + " batch " + std::to_string(batch);
        for (int i = 0; i < batch; ++i) {
          compare(expected[i], out.data() + i * expected[i].size(), precision, what);
        }
        check(out.intact() && pixels.intact() && weights.intact(), what + ": wrote outside");
      }
    }
  }
}

// Calls from several threads at once: one leases the thread pool, the others run alone.
void check_calls_at_once(const Case& one) {
  const Network network(one.table, 99);
  reference::Packer packer(Precision::kFloat32);
  packer.network(network);
  const std::vector<std::int32_t> plan = reference::plan_of(one.table, Precision::kFloat32);
  const ghostnet::cpu::Model model =
      ghostnet::cpu::read_model({plan.data(), std::int64_t(plan.size()), packer.weights.data(),
                                 std::int64_t(packer.weights.size())});
  const std::vector<float> image(std::size_t(3) * one.height * one.width, 0.5F);
  ghostnet::cpu::set_threads(2);
  std::vector<std::vector<float>> answers(3, std::vector<float>(one.table.classes));
  std::vector<std::thread> callers;
  for (std::vector<float>& answer : answers) {
    callers.emplace_back([&] {
      for (int call = 0; call < 5; ++call) {
        ghostnet::cpu::run(model, {image.data(), one.height, one.width, answer.data()}, 1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  Map map(3, one.height, one.width);
  std::copy(image.begin(), image.end(), map.data.begin());
  for (const std::vector<float>& answer : answers) {
    compare(network(map), answer.data(), Precision::kFloat32, "calls at once");
  }
}

// A member that comes late is left out of more and more calls, and takes part again when it is in
// time.
void check_team_size() {
  constexpr ghostnet::cpu::CallTime late{3.0, 1.0}, in_time{1.0, 1.0};
  const int threads = static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 2) return;
  ghostnet::cpu::TeamSize size;
  const auto calls_without_it = [&] {
    int calls = 0;
    while (size.for_call(threads) < threads) ++calls;
    return calls;
  };
  check(size.for_call(threads) == threads, "team size at first");
  for (const int calls : {1, 2, 4, 8, 16, 32, 64, 64}) {
    size.report(threads, threads, late);
    check(size.for_call(threads) == threads - 1, "team size after a late member");
    check(calls_without_it() == calls - 1, "calls without a late member");
  }
  size.report(threads, threads, in_time);
  check(calls_without_it() == 0, "team size after a member in time");
}

}  // namespace

int main(int count, char** arguments) {
  const int images = count > 1 ? std::atoi(arguments[1]) : 9;
  unsigned seed = count > 2 ? std::atoi(arguments[2]) : 1;
  for (const Case& one : cases()) {
    const int batch = one.height > 100 ? std::min(2, images) : images;
    check_case(one, Precision::kFloat32, seed, batch);
    check_case(one, Precision::kInt8, seed++, std::min(4, batch));
  }
  check_calls_at_once(cases().front());
  check_team_size();
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
