// The C API of inference: the operator of ops.Custom and, through ctypes, packing and settings.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include "network/dispatch.h"
#include "network/inference.h"
#include "network/model.h"
#include "ops/dense.h"
#include "ops/int8_packing.h"
#include "runtime/settings.h"
#include "simd/instruction_set.h"
#include "simd/processor.h"

using namespace ghostnet::cpu;

namespace {

// What a call returns. ghostnet/kernels/cpu/library.py says what each means.
enum Status { kDone, kWrongModel, kWrongShapes, kMissingKernels, kNoMemory };

// The arguments of the operator GhostNetForward: three inputs and the output.
enum ForwardArgument { kImages, kPlan, kWeights, kOut, kForwardArguments };

constexpr int kRanks[kForwardArguments] = {4, 1, 1, 2};
constexpr std::int64_t kColors = 3;

// Images (images, 3, height, width) and out (images, outputs).
struct Shapes {
  std::int64_t images;
  std::int64_t height;
  std::int64_t width;
  std::int64_t outputs;

  bool fit(const Model& model) const {
    return images > 0 && height > 0 && width > 0 && height <= kMaxPixels / width &&
           model.accepts(static_cast<int>(height), static_cast<int>(width)) &&
           outputs == model.head.outputs();
  }
};

Status forward(const float* pixels, const Shapes& shapes, const PackedModel& packed, float* out) {
  try {
    const Model model = read_model(packed);
    if (!shapes.fit(model)) return kWrongShapes;
    run(model, {pixels, static_cast<int>(shapes.height), static_cast<int>(shapes.width), out},
        shapes.images);
  } catch (const MissingKernels&) {
    return kMissingKernels;
  } catch (const std::invalid_argument&) {
    return kWrongModel;
  } catch (const std::exception&) {  // bad_alloc, or the length_error of a vector
    return kNoMemory;
  }
  return kDone;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// Images (images, 3, height, width) to (images, outputs). Returns a Status; where that is not
// kDone, `out` has any values.
int ghostnet_forward(const float* pixels, std::int64_t images, std::int64_t height,
                     std::int64_t width, const std::int32_t* plan, std::int64_t plan_size,
                     const float* weights, std::int64_t weights_size, float* out,
                     std::int64_t outputs) {
  return forward(pixels, {images, height, width, outputs}, {plan, plan_size, weights, weights_size},
                 out);
}

// ghostnet_forward() as an operator of ops.Custom.
int GhostNetForward(int count, void** data, int* ranks, int64_t** shapes, const char**, void*,
                    void*) {
  if (count != kForwardArguments || !std::equal(kRanks, kRanks + count, ranks)) return kWrongShapes;
  const int64_t* const images = shapes[kImages];
  if (images[1] != kColors || shapes[kOut][0] != images[0]) return kWrongShapes;
  return forward(static_cast<const float*>(data[kImages]),
                 {images[0], images[2], images[3], shapes[kOut][1]},
                 {static_cast<const std::int32_t*>(data[kPlan]), shapes[kPlan][0],
                  static_cast<const float*>(data[kWeights]), shapes[kWeights][0]},
                 static_cast<float*>(data[kOut]));
}

// Packed weights of a layer, in floats.
std::int64_t ghostnet_pointwise_size(int out, int in) { return pointwise_size(out, in); }
std::int64_t ghostnet_bfloat16_size(int out, int in) { return bfloat16_size(out, in); }
std::int64_t ghostnet_int8_size(int out, int in) { return Int8Weights::size(out, in); }
std::int64_t ghostnet_dense_size(int format, int out, int in) {
  return Dense::size(static_cast<WeightFormat>(format), out, in);
}

// Pack weights [out][in].
void ghostnet_pack_pointwise(const float* weights, int out, int in, float* packed) {
  pack_pointwise(weights, out, in, packed);
}
void ghostnet_pack_bfloat16(const float* weights, int out, int in, float* packed) {
  pack_bfloat16(weights, out, in, packed);
}
void ghostnet_pack_int8(const float* weights, int out, int in, const float* low, const float* high,
                        float* packed, float* bias) {
  pack_int8_weights(weights, out, in, {low, high}, packed, bias);
}
void ghostnet_pack_bytes(const float* weights, int out, int in, float* packed) {
  pack_bytes(weights, out, in, packed);
}
void ghostnet_pack_dense(int format, const float* weights, int out, int in, float* packed) {
  pack_dense(static_cast<WeightFormat>(format), weights, out, in, packed);
}

void ghostnet_set_threads(int threads) { set_threads(threads); }

int ghostnet_threads() { return settings().threads; }

// Returns 0, or 1 where this processor does not have that instruction set.
int ghostnet_set_instruction_set(const char* wanted) {
  const std::optional<InstructionSet> set = find_instruction_set(wanted);
  if (!set) return 1;
  set_instruction_set(*set);
  return 0;
}

// Whether the instruction set has kernels of a precision, and whether a layer gains from them.
int ghostnet_has_bfloat16() {
  return forward_for(settings().instruction_set, Precision::kBfloat16) != nullptr;
}
int ghostnet_is_faster_in_bfloat16(int out) { return is_faster_in_bfloat16(out); }
int ghostnet_has_int8() {
  return forward_for(settings().instruction_set, Precision::kInt8) != nullptr;
}
int ghostnet_is_faster_in_int8(int out, int in) { return Int8Weights::are_faster(out, in); }

const char* ghostnet_instruction_set() { return name(settings().instruction_set); }

// The names of the processor's extensions, each followed by a space.
const char* ghostnet_processor_extensions() {
  static const std::string names = extension_names();
  return names.c_str();
}

// The names of the supported instruction sets, best first, each followed by a space.
const char* ghostnet_instruction_sets() {
  static const std::string names = [] {
    std::string joined;
    for (const InstructionSet set : supported_instruction_sets()) {
      joined.append(name(set)).append(" ");
    }
    return joined;
  }();
  return names.c_str();
}

}  // extern "C"
#pragma GCC visibility pop
