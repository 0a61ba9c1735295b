#include "simd/instruction_set.h"

namespace ghostnet::cpu {

void forward_avx2(const Model& model, const Route& route, const Pictures& pictures,
                  Workspace& space, Worker worker) {
  forward<VectorProduct<8>>(model, route, pictures, space, worker);
}

}  // namespace ghostnet::cpu
