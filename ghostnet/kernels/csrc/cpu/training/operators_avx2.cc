#include "training/operator_table.h"
#include "training/operators.h"

namespace ghostnet::cpu::training {

template Operators operators<8>();

}  // namespace ghostnet::cpu::training
