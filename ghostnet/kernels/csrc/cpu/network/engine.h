// Runs a model on a batch of images, with the threads and the instruction set of the settings.
#pragma once

#include <exception>

#include "network/dispatch.h"

namespace ghostnet::cpu {

// The instruction set has no kernels of the model's precision.
struct MissingKernels : std::exception {};

// Computes batch.out for `images` images.
void run(const Model& model, const ImageBatch& batch, int images);

}  // namespace ghostnet::cpu
