// The C API: two operators of ops.Custom, and the size of their scratch memory. A host compiler
// takes this file too (g++ -x c++); the operators then run on the CPU, for tests.
#include <cstring>
#include <exception>

#include "forward.h"
#include "model_reader.h"

namespace ghostnet::cuda {
namespace {

// What an operator returns where its inputs do not fit together; CUDA's own errors are positive.
constexpr int kWrongInputs = -1;

// The arguments of an operator: the images, one tensor of weights for each layer, and two outputs.
// The memory to work in is an output because MindSpore allocates outputs and reuses their memory as
// soon as the operator is done.
class Arguments {
 public:
  static constexpr int kOutputs = 2;

  Arguments(int count, void** data, const int* ranks, std::int64_t** shapes)
      : inputs_(count - kOutputs), data_(data), ranks_(ranks), shapes_(shapes) {
    if (inputs_ < 1) throw std::invalid_argument("too few arguments");
  }

  // The inputs alone, of which only the shapes are known.
  static Arguments of_inputs(int inputs, const int* ranks, std::int64_t** shapes) {
    return {inputs + kOutputs, nullptr, ranks, shapes};
  }

  Tensor images() const {
    const Tensor images = tensor(0);
    if (images.rank != 4 || images.shape[1] != 3) throw std::invalid_argument("not images");
    return images;
  }

  Grid grid() const {
    const Tensor of = images();
    return {static_cast<int>(of.shape[0]), static_cast<int>(of.shape[2]),
            static_cast<int>(of.shape[3])};
  }

  std::vector<Tensor> weights() const {
    std::vector<Tensor> tensors;
    for (int i = 1; i < inputs_; ++i) tensors.push_back(tensor(i));
    return tensors;
  }

  Tensor logits() const { return tensor(inputs_); }

  char* scratch() const { return static_cast<char*>(data_[inputs_ + 1]); }
  std::int64_t scratch_bytes() const {
    return shapes_[inputs_ + 1][0] * static_cast<std::int64_t>(sizeof(float));
  }

 private:
  Tensor tensor(int i) const {
    return {data_ == nullptr ? nullptr : data_[i], shapes_[i], ranks_[i]};
  }

  int inputs_;
  void** data_;
  const int* ranks_;
  std::int64_t** shapes_;
};

template <class T>
int run(Activation activation, const Arguments& arguments, void* stream_pointer) {
  const Model model = read_model(activation, arguments.weights());
  const Schedule schedule = make_schedule(model, arguments.grid());
  const Workspace<T> space(model, schedule, arguments.scratch());
  if (space.bytes() > arguments.scratch_bytes()) return kWrongInputs;
  const Tensor logits = arguments.logits();
  const ImageBatch<T> batch{static_cast<const T*>(arguments.images().data),
                            static_cast<T*>(const_cast<void*>(logits.data)),
                            static_cast<int>(logits.shape[1])};
  Stream stream(stream_pointer);
  forward(stream, model, schedule, batch, space);
  return stream.error();
}

// `type` is that of the images and the logits.
int run(Activation activation, const Arguments& arguments, const char* type, void* stream) {
  return std::strcmp(type, "float16") == 0 ? run<Half>(activation, arguments, stream)
                                           : run<float>(activation, arguments, stream);
}

}  // namespace
}  // namespace ghostnet::cuda

#define GHOSTNET_EXPORT extern "C" __attribute__((visibility("default")))

// Returns 0, an error of CUDA, or kWrongInputs.
#define GHOSTNET_FORWARD(symbol, activation)                                           \
  GHOSTNET_EXPORT int symbol(int count, void** data, int* ranks, int64_t** shapes,     \
                             const char** types, void* stream, void*) {                \
    using namespace ghostnet::cuda;                                                    \
    try {                                                                              \
      return run(activation, Arguments(count, data, ranks, shapes), types[0], stream); \
    } catch (const std::exception&) {                                                  \
      return kWrongInputs;                                                             \
    }                                                                                  \
  }

GHOSTNET_FORWARD(GhostNetReluForward, Activation::kRelu)
GHOSTNET_FORWARD(GhostNetHardSwishForward, Activation::kHardSwish)

// The bytes of scratch memory of an operator with these inputs, whatever their type, or
// kWrongInputs.
GHOSTNET_EXPORT int64_t ghostnet_scratch_bytes(int inputs, int* ranks, int64_t** shapes) {
  using namespace ghostnet::cuda;
  try {
    const Arguments arguments = Arguments::of_inputs(inputs, ranks, shapes);
    const Grid grid = arguments.grid();
    const Model model = read_model(Activation::kNone, arguments.weights());
    return Workspace<float>(model, make_schedule(model, grid), nullptr).bytes();
  } catch (const std::exception&) {
    return kWrongInputs;
  }
}
