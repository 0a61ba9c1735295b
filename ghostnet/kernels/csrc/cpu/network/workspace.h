// The memory that a team of threads works in.
#pragma once

#include <vector>

#include "network/model.h"
#include "network/schedule.h"
#include "ops/attention.h"
#include "ops/dense.h"
#include "ops/dense_int8.h"
#include "runtime/arena.h"
#include "simd/prefetch.h"

namespace ghostnet::cpu {

// The buffers of one thread.
struct ThreadWorkspace {
  float* phases;            // of a few rows of the image
  float* maps[2];           // its rows of the maps, where the team partitions by rows
  float* expanded;          // its rows of the expanded map
  float* shortcut;          // its rows of the shortcut's depthwise convolution
  float* input;             // scratch memory of the pointwise kernel, for the input of a module
  float* shortcut_input;    // the same for the shortcut
  float* primary;           // planes of a channel tile, before the cheap operation
  float* cheap;             // one plane after the cheap operation
  float* pooled;            // input of the attention
  float* pooled_input;      // the same as `input`, for the attention
  float* gates;             // planes of a channel tile of the attention
  float* strips;            // the same between the convolutions of the attention
  GateLanes gate_lanes;     // of a row tile
  float* gated;             // one plane of a channel tile after the attention
  float* shortcut_output;   // planes of a channel tile of both halves of the shortcut
  float* quantized;         // one plane, or row of the image, that a quantized layer reads
  ByteRows bytes;           // of the input of a dense layer of a quantized network
  float* sums;              // of each channel over the pieces of this thread's rows
  ChannelRows means;        // of each channel
  Prefetcher prefetcher{};  // of the weights that this thread will read
};

// The buffers that the team shares.
struct Workspace {
  float* maps[2];        // input and output of a bottleneck, in turn
  float* gathered;       // maps of all images of a group, where they come together
  float* expanded;       // output of the first Ghost module, at the bottleneck's output size
  float* shortcut;       // output of the shortcut's depthwise convolution
  ChannelRows squeezed;  // between the dense layers of squeeze-excite
  ChannelRows gates;     // of squeeze-excite
  ChannelRows pooled;    // means of the last feature map
  ChannelRows features;  // input of the classifier
  std::vector<ThreadWorkspace> threads;
};

// For a schedule and a team of `threads`, in `arena`.
Workspace make_workspace(const Model& model, const Schedule& schedule, int threads, Arena& arena);

}  // namespace ghostnet::cpu
