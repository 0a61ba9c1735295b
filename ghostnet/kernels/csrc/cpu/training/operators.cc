#include "training/operators.h"

namespace ghostnet::cpu::training {

Shape Tensors::shape(int index) const {
  return {static_cast<int>(extent(index, 0)), static_cast<int>(extent(index, 1)),
          static_cast<int>(extent(index, 2)), static_cast<int>(extent(index, 3))};
}

Operators operators_for(InstructionSet set) {
  switch (set) {
#if defined(__x86_64__)
    case InstructionSet::kAmx:  // whose operators of training are those of AVX-512
    case InstructionSet::kAvx512:
      return operators<16>();
    case InstructionSet::kAvx2:
      return operators<8>();
#endif
    default:
      return operators<4>();
  }
}

}  // namespace ghostnet::cpu::training
