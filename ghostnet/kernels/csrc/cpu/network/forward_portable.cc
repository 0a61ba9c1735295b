#include "network/forward.h"

namespace ghostnet::cpu {

void forward_portable(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<4>>(context, batch);
}

}  // namespace ghostnet::cpu
