// Runs one CUDA operator on the host, meant for AddressSanitizer and UndefinedBehaviorSanitizer:
// every tensor is an allocation of its own.
//
//   cuda_case relu|hard_swish INPUT OUTPUT OUTPUTS
//
// INPUT holds the tensors, each as rank, 1 for float16 or 0 for float32, shape (all int64) and
// values. OUTPUT gets the values of the logits, of which there are OUTPUTS for each image. The
// threads of a thread block run in order and then in reverse order; answers that differ, as after a
// race, are an error. Memory begins as NaN, so that the answer shows a read before a write.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "operator.cu"

namespace {

struct Buffer {
  bool is_half;
  std::vector<std::int64_t> shape;
  std::unique_ptr<char[]> data;
  std::int64_t bytes;
};

Buffer make_buffer(bool is_half, std::vector<std::int64_t> shape) {
  std::int64_t bytes = is_half ? 2 : 4;
  for (const std::int64_t size : shape) bytes *= size;
  std::unique_ptr<char[]> data(new char[bytes]);
  std::memset(data.get(), 0xFF, bytes);
  return {is_half, std::move(shape), std::move(data), bytes};
}

std::vector<Buffer> read_tensors(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Buffer> tensors;
  std::int64_t head[2];
  while (file.read(reinterpret_cast<char*>(head), sizeof head)) {
    std::vector<std::int64_t> shape(head[0]);
    file.read(reinterpret_cast<char*>(shape.data()), head[0] * sizeof(std::int64_t));
    tensors.push_back(make_buffer(head[1] != 0, shape));
    file.read(tensors.back().data.get(), tensors.back().bytes);
  }
  return tensors;
}

// The arguments of an operator, inputs first.
struct Arguments {
  explicit Arguments(std::vector<Buffer>& buffers) {
    for (Buffer& buffer : buffers) {
      data.push_back(buffer.data.get());
      ranks.push_back(static_cast<int>(buffer.shape.size()));
      shapes.push_back(buffer.shape.data());
      types.push_back(buffer.is_half ? "float16" : "float32");
    }
  }

  std::vector<void*> data;
  std::vector<int> ranks;
  std::vector<std::int64_t*> shapes;
  std::vector<const char*> types;
};

// The logits, with the threads of a thread block in one order or the other.
Buffer answer(bool hard_swish, std::vector<Buffer>& tensors, int outputs, bool reverse_threads) {
  ghostnet::cuda::reverse_threads = reverse_threads;
  Arguments inputs(tensors);
  const std::int64_t scratch = ghostnet_scratch_bytes(static_cast<int>(tensors.size()),
                                                      inputs.ranks.data(), inputs.shapes.data());
  const std::size_t count = tensors.size();
  tensors.push_back(make_buffer(tensors[0].is_half, {tensors[0].shape[0], outputs}));
  tensors.push_back(make_buffer(false, {scratch / 4}));
  Arguments all(tensors);
  const auto forward = hard_swish ? GhostNetHardSwishForward : GhostNetReluForward;
  const int error = forward(static_cast<int>(tensors.size()), all.data.data(), all.ranks.data(),
                            all.shapes.data(), all.types.data(), nullptr, nullptr);
  if (error != 0) throw std::runtime_error("the operator returned " + std::to_string(error));
  Buffer logits = std::move(tensors[count]);
  tensors.erase(tensors.begin() + count, tensors.end());
  return logits;
}

}  // namespace

int main(int, char** arguments) {
  const bool hard_swish = std::string(arguments[1]) == "hard_swish";
  const int outputs = std::stoi(arguments[4]);
  std::vector<Buffer> tensors = read_tensors(arguments[2]);
  const Buffer logits = answer(hard_swish, tensors, outputs, false);
  const Buffer reversed = answer(hard_swish, tensors, outputs, true);
  if (std::memcmp(logits.data.get(), reversed.data.get(), logits.bytes) != 0) {
    std::puts("the order of threads changes the answer");
    return 1;
  }
  std::ofstream(arguments[3], std::ios::binary).write(logits.data.get(), logits.bytes);
  return 0;
}
