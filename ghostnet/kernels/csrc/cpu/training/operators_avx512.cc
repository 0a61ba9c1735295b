#include "training/operator_table.h"
#include "training/operators.h"

namespace ghostnet::cpu::training {

template Operators operators<16>();

}  // namespace ghostnet::cpu::training
