// The layout of weights and pixels of 8 bits.
//
// A pixel x of channel k becomes the byte q = round(x · scale[k] + zero[k]), from 0 to 255. A
// weight becomes a whole number w from -127 to 127, times a step that all weights of an output
// share. The scales of the inputs are part of the weights, and the zeros part of the bias, so that
// the sum of products of an output is step · Σ w · q + bias.
//
// A weight of a quantized network can be -129 or 128, for which a byte is too small. The weights of
// a layer that has one come in two passes over the same pixels, the second with what the bytes of
// the first lack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ghostnet::cpu {

// The weights of a pointwise convolution, in groups of four inputs, the last zero-padded: one
// channel tile after the other, each [pass][group][channel of the tile][input of the group].
struct Int8Weights {
  static constexpr int kGroup = 4;

  const float* scales;  // of each input
  const float* zeros;   // of each input, plus a half, so that truncation rounds
  const float* steps;   // of each output
  int passes;           // 1 or 2
  const std::int32_t* groups;

  // Whether a layer gains: with fewer outputs, rounding the inputs takes longer than it saves.
  static constexpr bool are_faster(int out, int in) { return in % kGroup == 0 && out >= 16; }

  static constexpr int groups_of(int in) { return (in + kGroup - 1) / kGroup; }

  // In floats.
  static constexpr std::ptrdiff_t size(int out, int in) {
    return 2 * in + out + std::ptrdiff_t{out} * in / kGroup;
  }
};

// The smallest and the largest value of each input.
struct InputRanges {
  const float* low;
  const float* high;
};

// Packs weights [out][in], and moves the constant part of every sum into `bias`.
void pack_int8_weights(const float* weights, int out, int in, InputRanges ranges, float* packed,
                       float* bias);

// Packs whole numbers [out][in] that fit into bytes as the groups of a layer. The inputs of a
// second pass follow those of the first, and either fill whole groups.
void pack_bytes(const float* weights, int out, int in, float* packed);

}  // namespace ghostnet::cpu
