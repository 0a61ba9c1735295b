#include "network/forward.h"

namespace ghostnet::cpu {

void forward_avx2(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<8>>(context, batch);
}

}  // namespace ghostnet::cpu
