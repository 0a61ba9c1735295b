// The C API of inference: the operator of ops.Custom and, through ctypes, packing and settings.
#include <exception>
#include <string>

#include "network/engine.h"
#include "runtime/settings.h"

using namespace ghostnet::cpu;

namespace {

// The arguments of the operator GhostNetForward: three inputs and the output.
enum ForwardArgument { kImages, kPlan, kWeights, kOut, kForwardArguments };

constexpr int kImagesRank = 4;

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

// Images (images, 3, height, width) to (images, outputs). Returns 0, 1 where plan and weights do not
// fit together, or 2 where the instruction set has no kernels of the model's precision.
int ghostnet_forward(const float* pixels, int images, int height, int width,
                     const std::int32_t* plan, std::int64_t plan_size, const float* weights,
                     std::int64_t weights_size, float* out) {
  try {
    run(read_model({plan, plan_size, weights, weights_size}), {pixels, height, width, out}, images);
  } catch (const MissingKernels&) {
    return 2;
  } catch (const std::exception&) {
    return 1;
  }
  return 0;
}

// ghostnet_forward() as an operator of ops.Custom.
int GhostNetForward(int count, void** data, int* ranks, int64_t** shapes, const char**, void*,
                    void*) {
  if (count != kForwardArguments || ranks[kImages] != kImagesRank) return 1;
  const int64_t* const images = shapes[kImages];
  return ghostnet_forward(static_cast<const float*>(data[kImages]), static_cast<int>(images[0]),
                          static_cast<int>(images[2]), static_cast<int>(images[3]),
                          static_cast<const std::int32_t*>(data[kPlan]), shapes[kPlan][0],
                          static_cast<const float*>(data[kWeights]), shapes[kWeights][0],
                          static_cast<float*>(data[kOut]));
}

// Packed weights of a layer, in floats.
std::int64_t ghostnet_pointwise_size(int out, int in) { return pointwise_size(out, in); }
std::int64_t ghostnet_int8_size(int out, int in) { return Int8Weights::size(out, in); }
std::int64_t ghostnet_dense_size(int out, int in) { return Dense::size(out, in); }
std::int64_t ghostnet_short_dense_size(int out, int in) { return ShortDense::size(out, in); }

// Pack weights [out][in].
void ghostnet_pack_pointwise(const float* weights, int out, int in, float* packed) {
  pack_pointwise(weights, out, in, packed);
}
void ghostnet_pack_int8(const float* weights, int out, int in, const float* low, const float* high,
                        float* packed, float* bias) {
  pack_int8_weights(weights, out, in, {low, high}, packed, bias);
}
void ghostnet_pack_dense(const float* weights, int out, int in, float* packed) {
  pack_dense(weights, out, in, packed);
}
void ghostnet_pack_short_dense(const float* weights, int out, int in, float* packed) {
  pack_short_dense(weights, out, in, packed);
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

// Whether that instruction set has int8 kernels, and whether a layer gains from them.
int ghostnet_has_int8() { return has_vnni(settings().instruction_set); }
int ghostnet_is_faster_in_int8(int out, int in) { return Int8Weights::are_faster(out, in); }

const char* ghostnet_instruction_set() { return name(settings().instruction_set); }

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
