// The forward pass of each instruction set, and the choice between them.
#pragma once

#include <cstddef>

#include "network/context.h"
#include "network/model.h"
#include "simd/instruction_set.h"

namespace ghostnet::cpu {

// Images (images, 3, height, width) and outputs (images, outputs), both row-major.
struct ImageBatch {
  const float* pixels;
  int height;
  int width;
  float* out;

  std::ptrdiff_t image_size() const { return std::ptrdiff_t{3} * height * width; }
};

// One thread's part of the forward pass of as many images as the context's schedule is for.
using Forward = void (*)(const ForwardContext& context, const ImageBatch& batch);

void forward_portable(const ForwardContext& context, const ImageBatch& batch);
void forward_neon(const ForwardContext& context, const ImageBatch& batch);
void forward_avx2(const ForwardContext& context, const ImageBatch& batch);
void forward_avx512(const ForwardContext& context, const ImageBatch& batch);
void forward_amx(const ForwardContext& context, const ImageBatch& batch);
void forward_neon_int8(const ForwardContext& context, const ImageBatch& batch);
void forward_avx2_int8(const ForwardContext& context, const ImageBatch& batch);
void forward_avx512_int8(const ForwardContext& context, const ImageBatch& batch);
void forward_avx512_bfloat16(const ForwardContext& context, const ImageBatch& batch);
void forward_portable_quantized(const ForwardContext& context, const ImageBatch& batch);
void forward_neon_quantized(const ForwardContext& context, const ImageBatch& batch);
void forward_avx2_quantized(const ForwardContext& context, const ImageBatch& batch);
void forward_avx512_quantized(const ForwardContext& context, const ImageBatch& batch);

// `set` is a supported instruction set. Null where it has no kernels of that precision.
Forward forward_for(InstructionSet set, Precision precision);

}  // namespace ghostnet::cpu
