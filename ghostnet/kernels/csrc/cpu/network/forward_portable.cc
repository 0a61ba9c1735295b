#include "network/context.h"
#include "network/dispatch.h"
#include "network/forward.h"
#include "ops/pointwise.h"
#include "ops/pointwise_int8.h"
#include "simd/dot_product.h"

namespace ghostnet::cpu {

void forward_portable(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<4>>(context, batch);
}

void forward_portable_quantized(const ForwardContext& context, const ImageBatch& batch) {
  forward<Int8Pointwise<4, PairProducts>>(context, batch);
}

}  // namespace ghostnet::cpu
