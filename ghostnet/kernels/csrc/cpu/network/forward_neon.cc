#include "network/context.h"
#include "network/dispatch.h"
#include "network/forward.h"
#include "ops/pointwise.h"

namespace ghostnet::cpu {

void forward_neon(const ForwardContext& context, const ImageBatch& batch) {
  forward<VectorPointwise<4>>(context, batch);
}

}  // namespace ghostnet::cpu
