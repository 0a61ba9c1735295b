#include "training/padded_plane.h"

#include <cstddef>

namespace ghostnet::cpu::training {

PaddedPlane::PaddedPlane(int height, int width, int border)
    : height_(height),
      width_(width),
      pitch_(width + border),
      margin_(std::ptrdiff_t{border} * (pitch_ + 1)),
      memory_(2 * margin_ + std::size_t(height) * pitch_ + 2 * kMaxLanes) {}

PaddedPlane::~PaddedPlane() = default;

}  // namespace ghostnet::cpu::training
