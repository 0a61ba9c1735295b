// Fully connected layer on a few vectors, which are means of channels or plain vectors.
//
// There are few vectors and many weights: each block takes every weight of its outputs once, for
// kImages vectors, and shares the inputs out among its threads.
#pragma once

#include "model.h"
#include "channel_sums.h"

namespace ghostnet::cuda {

template <class Out>
struct DenseKernel {
  static constexpr int kImages = 4;
  static constexpr int kQuads = 8;
  static constexpr int kParts = 16;
  static constexpr int kSlice = 1024;

  struct Registers {
    Quad sums[kImages];
  };

  Pointwise layer;
  Activation activation;
  Totals in;
  int images;
  Out* out;     // [image][output]
  int outputs;  // at most the layer's, which are padded

  Launch size() const {
    return {ceil_div(images, kImages) * chunks(), kQuads * kParts, kImages * kSlice};
  }

  GHOSTNET_HOST_DEVICE int chunks() const { return ceil_div(layer.quads(), kQuads); }

  GHOSTNET_DEVICE void run(Team<Registers>& team, int block, float* shared) const {
    const int image = block / chunks() * kImages;
    const int first_quad = block % chunks() * kQuads;
    team.each([&](int, Registers& own) {
      for (Quad& sum : own.sums) sum = Quad{};
    });
    for (int channel = 0; channel < layer.in; channel += kSlice) {
      const int depth = min(kSlice, layer.in - channel);
      team.each([&](int thread, Registers&) {
        for (int i = thread; i < kImages * depth; i += kQuads * kParts) {
          const int vector = i / depth;
          shared[vector * kSlice + i % depth] =
              image + vector < images ? in.mean(image + vector, channel + i % depth) : 0;
        }
      });
      team.each([&](int thread, Registers& own) {
        const int quad = first_quad + thread % kQuads;
        if (quad >= layer.quads()) return;
        for (int c = thread / kQuads; c < depth; c += kParts) {
          const Quad weight = load(layer.row(channel + c) + 4 * quad);
          for (int i = 0; i < kImages; ++i) {
            own.sums[i] = own.sums[i] + weight * shared[i * kSlice + c];
          }
        }
      });
    }
    team.each([&](int thread, Registers& own) {
      for (int i = 0; i < kImages; ++i) store(shared + 4 * place(thread, i), own.sums[i]);
    });
    team.each([&](int thread, Registers&) {
      if (thread < kQuads * kImages) {
        write(image + thread / kQuads, first_quad + thread % kQuads, thread / kQuads, shared);
      }
    });
  }

  // Of a thread's sum for the i-th image, in quads of shared memory.
  GHOSTNET_DEVICE static int place(int thread, int i) { return i * kQuads * kParts + thread; }

  GHOSTNET_DEVICE void write(int image, int quad, int i, const float* shared) const {
    if (image >= images || quad >= layer.quads()) return;
    Quad sum = load(layer.bias() + 4 * quad);
    for (int part = 0; part < kParts; ++part) {
      sum = sum + load(shared + 4 * place(part * kQuads + quad % kQuads, i));
    }
    sum = activate(activation, sum);
    for (int n = 0; n < 4 && 4 * quad + n < outputs; ++n) {
      out[static_cast<std::int64_t>(image) * outputs + 4 * quad + n] = static_cast<Out>(sum[n]);
    }
  }
};

}  // namespace ghostnet::cuda
