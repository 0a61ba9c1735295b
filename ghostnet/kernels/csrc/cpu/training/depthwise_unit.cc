#include "training/depthwise_unit.h"

namespace ghostnet::cpu::training {

DepthwiseScratch::DepthwiseScratch(const Shape& shape, int kernel)
    : in(shape.height, shape.width, kernel / 2), gradient(in), out(in) {}

DepthwiseScratch::~DepthwiseScratch() = default;

}  // namespace ghostnet::cpu::training
