#include "network/context.h"
#include "network/dispatch.h"
#include "network/forward.h"
#include "ops/pointwise_bfloat16.h"

namespace ghostnet::cpu {

void forward_avx512_bfloat16(const ForwardContext& context, const ImageBatch& batch) {
  forward<Bfloat16Pointwise>(context, batch);
}

}  // namespace ghostnet::cpu
