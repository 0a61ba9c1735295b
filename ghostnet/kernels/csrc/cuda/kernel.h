// How a kernel is written once, for the GPU and for the host.
//
// A kernel is a struct of parameters with
//   struct Registers;                                        what a thread keeps between steps
//   LaunchSize size() const;
//   void run(ThreadBlock<Registers>&, int block_index, float* shared) const;
// The body of run() is a chain of steps, threads.each(step), inside loops and conditions that are
// the same for all threads of the thread block. On the GPU each thread calls the step once and then
// waits for the others. Compiled for the host, each() is a loop over the threads, so that tests run
// the same indices and arithmetic under sanitizers.
#pragma once

#include <cstddef>

#ifdef __CUDACC__
#define GHOSTNET_DEVICE __device__
#define GHOSTNET_HOST_DEVICE __host__ __device__
#define GHOSTNET_UNROLL _Pragma("unroll")  // keeps the arrays that the loop indexes in registers
#else
#include <vector>
#define GHOSTNET_DEVICE
#define GHOSTNET_HOST_DEVICE
#define GHOSTNET_UNROLL
#endif

namespace ghostnet::cuda {

constexpr int kMaxThreads = 256;
constexpr int kMaxSharedFloats = 48 * 1024 / sizeof(float);  // available on every GPU

template <class T>
GHOSTNET_HOST_DEVICE constexpr T min(T a, T b) {
  return b < a ? b : a;
}

template <class T>
GHOSTNET_HOST_DEVICE constexpr T max(T a, T b) {
  return a < b ? b : a;
}

struct LaunchSize {
  int thread_blocks;
  int threads;  // of a thread block
  int shared_floats;
};

// Launches the kernels of one call in order. After an error it launches nothing more.
//   int error() const;           0, or the first error of a launch
//   void launch(const Kernel&);
class Stream;

#ifdef __CUDACC__

template <class Registers>
class ThreadBlock {
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
__global__ void __launch_bounds__(kMaxThreads) run_thread_block(Kernel kernel) {
  extern __shared__ float4 shared[];
  ThreadBlock<typename Kernel::Registers> threads;
  kernel.run(threads, static_cast<int>(blockIdx.x), reinterpret_cast<float*>(shared));
}

class Stream {
 public:
  explicit Stream(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {}

  int error() const { return static_cast<int>(error_); }

  template <class Kernel>
  void launch(const Kernel& kernel) {
    if (error_ != cudaSuccess) return;
    const LaunchSize size = kernel.size();
    const std::size_t shared_bytes = size.shared_floats * sizeof(float);
    run_thread_block<<<size.thread_blocks, size.threads, shared_bytes, stream_>>>(kernel);
    error_ = cudaGetLastError();
  }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

#else

// Runs the threads of a step from the last to the first. A step in which a thread reads what
// another thread writes gives different answers in the two orders.
inline bool reverse_threads = false;

template <class Registers>
class ThreadBlock {
 public:
  explicit ThreadBlock(int threads) : registers_(threads) {}

  template <class Step>
  void each(const Step& step) {
    const int threads = static_cast<int>(registers_.size());
    for (int i = 0; i < threads; ++i) {
      const int thread = reverse_threads ? threads - 1 - i : i;
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
    const LaunchSize size = kernel.size();
    if (!is_valid(size)) error_ = 9;  // cudaErrorInvalidConfiguration
    if (error_ != 0) return;
    for (int index = 0; index < size.thread_blocks; ++index) {
      ThreadBlock<typename Kernel::Registers> threads(size.threads);
      // Each thread block has an allocation of its own, whose end AddressSanitizer knows.
      struct alignas(16) Cell {
        float values[4];
      };
      std::vector<Cell> shared((size.shared_floats + 3) / 4);
      kernel.run(threads, index, reinterpret_cast<float*>(shared.data()));
    }
  }

 private:
  // Whether a GPU would accept the launch.
  static bool is_valid(const LaunchSize& size) {
    return size.thread_blocks >= 1 && size.threads >= 1 && size.threads <= kMaxThreads &&
           size.shared_floats <= kMaxSharedFloats;
  }

  int error_ = 0;
};

#endif

}  // namespace ghostnet::cuda
