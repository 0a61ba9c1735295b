#include "network/forward.h"

namespace ghostnet::cpu {

void forward_avx512(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<16>>(context, batch);
}

}  // namespace ghostnet::cpu
