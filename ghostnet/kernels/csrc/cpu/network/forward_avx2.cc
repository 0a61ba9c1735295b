#include "network/context.h"
#include "network/dispatch.h"
#include "network/forward.h"
#include "ops/pointwise.h"
#include "ops/pointwise_int8.h"
#include "simd/dot_product.h"

namespace ghostnet::cpu {

void forward_avx2(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<8>>(context, batch);
}

void forward_avx2_int8(const ForwardContext& context, const ImageBatch& batch) {
  forward<Int8Pointwise<8, VnniProducts>>(context, batch);
}

void forward_avx2_quantized(const ForwardContext& context, const ImageBatch& batch) {
  forward<Int8Pointwise<8, PairProducts>>(context, batch);
}

}  // namespace ghostnet::cpu
