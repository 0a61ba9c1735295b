// Runs a model on a batch of images, with the threads and the instruction set of the settings.
#pragma once

#include <cstdint>
#include <exception>

#include "network/dispatch.h"
#include "network/model.h"

namespace ghostnet::cpu {

// The instruction set has no kernels of the model's precision.
struct MissingKernels : std::exception {};

// The most pixels of an image, so that the rows and pixels of a group fit an int.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 28;

// Computes batch.out for `images` images of at most kMaxPixels.
void run(const Model& model, const ImageBatch& batch, std::int64_t images);

}  // namespace ghostnet::cpu
