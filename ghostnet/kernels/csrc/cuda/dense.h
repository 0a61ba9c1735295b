// Fully connected layer on one row of channels for each image: means of channels, or plain rows.
//
// There are few images and many weights. Each thread block reads every weight of its outputs once,
// for kImages images, and splits the input channels among its threads.
#pragma once

#include <cstdint>

#include "channel_sums.h"
#include "model.h"

namespace ghostnet::cuda {

template <class Out>
struct DenseKernel {
  static constexpr int kImages = 4;
  static constexpr int kQuads = 8;
  static constexpr int kSplits = 16;   // of the input channels
  static constexpr int kSlice = 1024;  // input channels in shared memory at a time
  static constexpr int kThreads = kQuads * kSplits;

  struct Registers {
    Float4 sums[kImages];
  };

  Pointwise layer;
  Activation activation;
  ChannelSums in;
  int images;
  Out* out;     // [image][output]
  int outputs;  // at most the layer's, which are padded

  LaunchSize size() const {
    return {ceil_div(images, kImages) * quad_tiles(), kThreads, kImages * kSlice};
  }

  GHOSTNET_HOST_DEVICE int quad_tiles() const { return ceil_div(layer.quads(), kQuads); }

  GHOSTNET_DEVICE void run(ThreadBlock<Registers>& threads, int block_index, float* shared) const {
    const int image = block_index / quad_tiles() * kImages;
    const int first_quad = block_index % quad_tiles() * kQuads;
    threads.each([&](int, Registers& own) {
      for (Float4& sum : own.sums) sum = Float4{};
    });
    for (int channel = 0; channel < layer.in; channel += kSlice) {
      threads.each([&](int thread, Registers&) { stage(thread, image, channel, shared); });
      threads.each(
          [&](int thread, Registers& own) { add_slice(thread, first_quad, channel, shared, own); });
    }
    threads.each([&](int thread, Registers& own) {
      for (int i = 0; i < kImages; ++i) store(shared + 4 * sum_index(thread, i), own.sums[i]);
    });
    threads.each([&](int thread, Registers&) {
      if (thread < kQuads * kImages) {
        const int i = thread / kQuads;
        write(image + i, first_quad + thread % kQuads, i, shared);
      }
    });
  }

  // Brings a slice of the inputs of kImages images into shared memory, [image][channel].
  GHOSTNET_DEVICE void stage(int thread, int image, int channel, float* shared) const {
    const int depth = min(kSlice, layer.in - channel);
    for (int i = thread; i < kImages * depth; i += kThreads) {
      const int row = i / depth;
      shared[row * kSlice + i % depth] =
          image + row < images ? in.mean(image + row, channel + i % depth) : 0;
    }
  }

  GHOSTNET_DEVICE void add_slice(int thread, int first_quad, int channel, const float* shared,
                                 Registers& own) const {
    const int quad = first_quad + thread % kQuads;
    if (quad >= layer.quads()) return;
    const int depth = min(kSlice, layer.in - channel);
    for (int c = thread / kQuads; c < depth; c += kSplits) {
      const Float4 weight = load(layer.row(channel + c) + 4 * quad);
      for (int i = 0; i < kImages; ++i) {
        own.sums[i] = own.sums[i] + weight * shared[i * kSlice + c];
      }
    }
  }

  // The place in shared memory, in quads, of a thread's sum for the i-th image.
  GHOSTNET_DEVICE static int sum_index(int thread, int i) { return i * kThreads + thread; }

  // Adds up the threads' sums for the i-th image, `image`, and writes the outputs.
  GHOSTNET_DEVICE void write(int image, int quad, int i, const float* shared) const {
    if (image >= images || quad >= layer.quads()) return;
    Float4 sum = load(layer.bias() + 4 * quad);
    for (int split = 0; split < kSplits; ++split) {
      sum = sum + load(shared + 4 * sum_index(split * kQuads + quad % kQuads, i));
    }
    sum = activate(activation, sum);
    for (int n = 0; n < 4 && 4 * quad + n < outputs; ++n) {
      out[static_cast<std::int64_t>(image) * outputs + 4 * quad + n] = static_cast<Out>(sum[n]);
    }
  }
};

}  // namespace ghostnet::cuda
