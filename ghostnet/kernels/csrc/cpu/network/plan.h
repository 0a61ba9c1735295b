// The plan: the sizes of a network's layers as Python passes them, a vector of int32 that holds one
// PlanHeader and then one PlanBlock for each block. ghostnet/kernels/cpu/packing.py writes it.
#pragma once

#include <cstdint>

namespace ghostnet::cpu {

struct PlanHeader {
  std::int32_t precision;   // the number of a `Precision`
  std::int32_t block_kind;  // the number of a `BlockKind`
  std::int32_t stem_channels;
  std::int32_t activation;  // the number of an `Activation`
  std::int32_t blocks;
  std::int32_t last_channels;  // of the last ConvUnit
  std::int32_t head_channels;  // 0: the classifier reads the means of the last ConvUnit
  std::int32_t classes;        // 0: the output is what it would read
};

struct PlanBlock {
  std::int32_t expansion_channels;
  std::int32_t out_channels;
  std::int32_t kernel_size;
  std::int32_t stride;
  std::int32_t se_channels;  // 0: no squeeze-excite
  std::int32_t upsampling;   // of the attention's gates: the number of an `Upsampling`
};

constexpr std::int64_t kPlanHeaderSize = sizeof(PlanHeader) / sizeof(std::int32_t);
constexpr std::int64_t kPlanBlockSize = sizeof(PlanBlock) / sizeof(std::int32_t);

}  // namespace ghostnet::cpu
