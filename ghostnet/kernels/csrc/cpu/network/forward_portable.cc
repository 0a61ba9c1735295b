#include "simd/instruction_set.h"

namespace ghostnet::cpu {

void forward_portable(const Model& model, const Route& route, const Pictures& pictures,
                      Workspace& space, Worker worker) {
  forward<VectorProduct<4>>(model, route, pictures, space, worker);
}

}  // namespace ghostnet::cpu
