#include "simd/instruction_set.h"

namespace ghostnet::cpu {

void forward_avx512(const Model& model, const Route& route, const Pictures& pictures,
                    Workspace& space, Worker worker) {
  forward<VectorProduct<16>>(model, route, pictures, space, worker);
}

}  // namespace ghostnet::cpu
