#include "forward.h"

namespace ghostnet::cpu {

template void forward<16>(const Model&, const Route&, const Pictures&, Workspace&, Worker);

}  // namespace ghostnet::cpu
