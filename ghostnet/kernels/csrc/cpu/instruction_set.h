// The instruction sets that this library was compiled for, the best that the processor has first.
#pragma once

#include <vector>

#include "forward.h"

namespace ghostnet::cpu {

using Forward = void (*)(const Model& model, const Route& route, const Pictures& pictures,
                         Workspace& space, Worker worker);

struct InstructionSet {
  const char* name;
  Forward forward;
};

extern template void forward<4>(const Model&, const Route&, const Pictures&, Workspace&, Worker);
extern template void forward<8>(const Model&, const Route&, const Pictures&, Workspace&, Worker);
extern template void forward<16>(const Model&, const Route&, const Pictures&, Workspace&, Worker);

// Those that run on this processor; the last of them, "portable", always does.
const std::vector<InstructionSet>& instruction_sets();

}  // namespace ghostnet::cpu
