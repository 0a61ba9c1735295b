// The instruction sets that this library was compiled for, the best that the processor has first.
#pragma once

#include <vector>

#include "network/forward.h"

namespace ghostnet::cpu {

using Forward = void (*)(const Model& model, const Route& route, const Pictures& pictures,
                         Workspace& space, Worker worker);

struct InstructionSet {
  const char* name;
  Forward forward;
};

void forward_portable(const Model&, const Route&, const Pictures&, Workspace&, Worker);
void forward_avx2(const Model&, const Route&, const Pictures&, Workspace&, Worker);
void forward_avx512(const Model&, const Route&, const Pictures&, Workspace&, Worker);
void forward_amx(const Model&, const Route&, const Pictures&, Workspace&, Worker);

// Those that run on this processor; the last of them, "portable", always does.
const std::vector<InstructionSet>& instruction_sets();

}  // namespace ghostnet::cpu
