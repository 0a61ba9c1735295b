// Runs a model on a batch of images, with the threads and the instruction set of the settings.
#pragma once

#include "network/dispatch.h"

namespace ghostnet::cpu {

// Computes batch.out for `images` images.
void run(const Model& model, const ImageBatch& batch, int images);

}  // namespace ghostnet::cpu
