#include "training/branched_operator_table.h"
#include "training/operators.h"

namespace ghostnet::cpu::training {

template BranchedOperators branched_operators<16>();

}  // namespace ghostnet::cpu::training
