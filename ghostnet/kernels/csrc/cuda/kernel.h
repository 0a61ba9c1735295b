// How a kernel is written once, for the GPU and for the host.
//
// A kernel is a struct of parameters with
//   struct Registers;                                   what a thread keeps from step to step
//   Launch size() const;                                blocks, threads, shared memory
//   void run(Team<Registers>&, int block, float* shared) const;
// The body of run() is a chain of steps, team.each(step), with the same loops and conditions around
// them for all threads of a block. On the GPU each thread calls the step once and then waits for
// the others; compiled for the host, each() is a loop over the threads, so that a test runs the
// same indices and arithmetic under sanitizers.
#pragma once

#include <cstddef>

#ifdef __CUDACC__
#define GHOSTNET_DEVICE __device__
#define GHOSTNET_HOST_DEVICE __host__ __device__
#define GHOSTNET_UNROLL _Pragma("unroll")  // so that what the loop indexes stays in registers
#else
#include <vector>
#define GHOSTNET_DEVICE
#define GHOSTNET_HOST_DEVICE
#define GHOSTNET_UNROLL
#endif

namespace ghostnet::cuda {

constexpr int kMaxThreads = 256;
constexpr int kMaxSharedFloats = 48 * 1024 / sizeof(float);  // what every GPU gives without asking

template <class T>
GHOSTNET_HOST_DEVICE constexpr T min(T a, T b) {
  return b < a ? b : a;
}

template <class T>
GHOSTNET_HOST_DEVICE constexpr T max(T a, T b) {
  return a < b ? b : a;
}

struct Launch {
  int blocks;
  int threads;
  int shared_floats;
};

// The kernels of one call, in order; after an error nothing more is started.
//   int error() const;                 0, or the first error of a launch
//   void launch(const Kernel&);
class Stream;

#ifdef __CUDACC__

template <class Registers>
class Team {
 public:
  template <class Step>
  __device__ void each(const Step& step) {
    step(static_cast<int>(threadIdx.x), registers_);
    __syncthreads();
  }

 private:
  Registers registers_;
};

template <class Kernel>
__global__ void __launch_bounds__(kMaxThreads) run_block(Kernel kernel) {
  extern __shared__ float4 shared[];
  Team<typename Kernel::Registers> team;
  kernel.run(team, static_cast<int>(blockIdx.x), reinterpret_cast<float*>(shared));
}

class Stream {
 public:
  explicit Stream(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {}

  int error() const { return static_cast<int>(error_); }

  template <class Kernel>
  void launch(const Kernel& kernel) {
    if (error_ != cudaSuccess) return;
    const Launch size = kernel.size();
    run_block<<<size.blocks, size.threads, size.shared_floats * sizeof(float), stream_>>>(kernel);
    error_ = cudaGetLastError();
  }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

#else

// Threads run one after another, from the last to the first where `backwards` is set: a step in
// which a thread reads what another writes gives different answers in the two orders.
inline bool backwards = false;

template <class Registers>
class Team {
 public:
  explicit Team(int threads) : registers_(threads) {}

  template <class Step>
  void each(const Step& step) {
    const int threads = static_cast<int>(registers_.size());
    for (int i = 0; i < threads; ++i) {
      const int thread = backwards ? threads - 1 - i : i;
      step(thread, registers_[thread]);
    }
  }

 private:
  std::vector<Registers> registers_;
};

class Stream {
 public:
  explicit Stream(void*) {}

  int error() const { return error_; }

  template <class Kernel>
  void launch(const Kernel& kernel) {
    const Launch size = kernel.size();
    // A launch that a GPU would refuse.
    if (size.blocks < 1 || size.threads < 1 || size.threads > kMaxThreads ||
        size.shared_floats > kMaxSharedFloats) {
      error_ = 9;  // cudaErrorInvalidConfiguration
    }
    if (error_ != 0) return;
    for (int block = 0; block < size.blocks; ++block) {
      Team<typename Kernel::Registers> team(size.threads);
      // An allocation of its own for each block, so that AddressSanitizer knows its end.
      struct alignas(16) Cell {
        float values[4];
      };
      std::vector<Cell> shared((size.shared_floats + 3) / 4);
      kernel.run(team, block, reinterpret_cast<float*>(shared.data()));
    }
  }

 private:
  int error_ = 0;
};

#endif

}  // namespace ghostnet::cuda
