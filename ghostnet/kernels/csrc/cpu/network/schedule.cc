#include "network/schedule.h"

#include <algorithm>
#include <cstddef>

#include "network/model.h"

namespace ghostnet::cpu {
namespace {

// The most floats of an expanded map of a group: half of a second-level cache of 2 MiB.
constexpr std::ptrdiff_t kGroupFloats = 256 * 1024;

// The first block from which on every expanded map of the group has at most kGroupFloats.
std::size_t first_together(const Model& model, const Geometry& group) {
  std::size_t first = model.blocks.size();
  if (group.images() == 1) return first;
  while (first > 1) {
    const Bottleneck& block = model.blocks[first - 1];
    const std::ptrdiff_t plane =
        std::max(group.input(first - 1).stride(), group.output(first - 1).stride());
    if (block.expanded * plane > kGroupFloats) break;
    --first;
  }
  return first;
}

}  // namespace

Schedule::Schedule(const Model& model, int images, int height, int width)
    : one(model, 1, height, width),
      group(model, images, height, width),
      together(first_together(model, group)) {}

}  // namespace ghostnet::cpu
