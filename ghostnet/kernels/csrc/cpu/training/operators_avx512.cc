#include "training/operator_table.h"

namespace ghostnet::cpu::training {

template Operators operators<16>();

}  // namespace ghostnet::cpu::training
