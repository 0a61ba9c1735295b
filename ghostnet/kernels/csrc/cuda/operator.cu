// What MindSpore and Python see. A host compiler takes this file too (g++ -x c++): the operators
// then run on the CPU, for tests.
#include <cstring>
#include <exception>

#include "forward.h"
#include "model_reader.h"

namespace ghostnet::cuda {
namespace {

// What an operator returns where its inputs do not fit together; CUDA's own errors are positive.
constexpr int kWrongInputs = -1;

// The inputs are pictures and the tensors of weights; the outputs are logits and the memory to work
// in. Memory that is an output needs no more of MindSpore than its operators' C interface, and the
// graph reuses it as soon as the operator is done.
struct Call {
  Tensor pictures;
  std::vector<Tensor> weights;

  Grid grid() const {
    return {static_cast<int>(pictures.shape[0]), static_cast<int>(pictures.shape[2]),
            static_cast<int>(pictures.shape[3])};
  }
};

Call call_of(int inputs, void** data, const int* ranks, std::int64_t** shapes) {
  const auto tensor = [&](int i) {
    return Tensor{data == nullptr ? nullptr : data[i], shapes[i], ranks[i]};
  };
  Call call{tensor(0), {}};
  if (ranks[0] != 4 || shapes[0][1] != 3) throw std::invalid_argument("not pictures");
  for (int i = 1; i < inputs; ++i) call.weights.push_back(tensor(i));
  return call;
}

template <class T>
int run(Activation activation, const Call& call, void* out, int outputs, void* scratch,
        std::int64_t scratch_size, void* stream_pointer) {
  const Model model = read_model(activation, call.weights);
  const Route route = route_of(model, call.grid());
  const Workspace<T> space(model, route, static_cast<char*>(scratch));
  if (space.bytes() > scratch_size) return kWrongInputs;
  Stream stream(stream_pointer);
  forward(stream, model, route, static_cast<const T*>(call.pictures.data), static_cast<T*>(out),
          outputs, space);
  return stream.error();
}

int run(Activation activation, int count, void** data, int* ranks, std::int64_t** shapes,
        const char** types, void* stream) {
  constexpr int kOutputs = 2;
  if (count < 1 + kOutputs) return kWrongInputs;
  const int inputs = count - kOutputs;
  try {
    const Call call = call_of(inputs, data, ranks, shapes);
    const auto typed = std::strcmp(types[0], "float16") == 0 ? run<Half> : run<float>;
    return typed(activation, call, data[inputs], static_cast<int>(shapes[inputs][1]),
                 data[inputs + 1], shapes[inputs + 1][0] * static_cast<std::int64_t>(sizeof(float)),
                 stream);
  } catch (const std::exception&) {
    return kWrongInputs;
  }
}

}  // namespace
}  // namespace ghostnet::cuda

#define GHOSTNET_EXPORT extern "C" __attribute__((visibility("default")))

GHOSTNET_EXPORT int GhostNetReluForward(int count, void** data, int* ranks, int64_t** shapes,
                                        const char** types, void* stream, void*) {
  return ghostnet::cuda::run(ghostnet::cuda::Activation::kRelu, count, data, ranks, shapes, types,
                             stream);
}

GHOSTNET_EXPORT int GhostNetHardSwishForward(int count, void** data, int* ranks, int64_t** shapes,
                                             const char** types, void* stream, void*) {
  return ghostnet::cuda::run(ghostnet::cuda::Activation::kHardSwish, count, data, ranks, shapes,
                             types, stream);
}

// The bytes that an operator with these inputs works in, whatever their type, or -1 where they do
// not fit together.
GHOSTNET_EXPORT int64_t ghostnet_scratch_bytes(int inputs, int* ranks, int64_t** shapes) {
  using namespace ghostnet::cuda;
  try {
    const Call call = call_of(inputs, nullptr, ranks, shapes);
    const Model model = read_model(Activation::kNone, call.weights);
    return Workspace<float>(model, route_of(model, call.grid()), nullptr).bytes();
  } catch (const std::exception&) {
    return kWrongInputs;
  }
}
