#include "workspace.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "stem.h"
#include "strip.h"

namespace ghostnet::cpu {
namespace {

constexpr std::ptrdiff_t kAlignment = 64;

// The largest of each thing over the blocks of a model, in floats.
struct Sizes {
  std::ptrdiff_t phases = 0;
  std::ptrdiff_t map = 0;
  std::ptrdiff_t gathered = 0;
  std::ptrdiff_t expanded = 0;
  std::ptrdiff_t shortcut = 0;
  std::ptrdiff_t plane = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t reduced = 0;
};

template <class... Values>
void raise(std::ptrdiff_t& largest, Values... values) {
  largest = std::max({largest, static_cast<std::ptrdiff_t>(values)...});
}

Sizes measure(const Model& model, const Route& route) {
  Sizes sizes;
  const Grid& first = route.one.input(0);
  sizes.phases = Phases(first).size();
  raise(sizes.map, model.stem.taps.out * first.extent());
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Bottleneck& block = model.blocks[i];
    const Geometry& geometry = route.geometry(i);
    const std::ptrdiff_t extent = geometry.output(i).extent();
    if (i == route.together) sizes.gathered = block.in * geometry.input(i).extent();
    raise(sizes.map, block.out * extent);
    raise(sizes.expanded, block.expanded * extent);
    raise(sizes.shortcut, block.has_shortcut() ? block.in * extent : 0);
    raise(sizes.plane,
          plane_stride(strip_positions(block, geometry.input(i), geometry.output(i))));
    raise(sizes.channels, block.expanded);
    raise(sizes.reduced, block.squeeze_excite.reduce.out);
  }
  raise(sizes.plane, plane_stride(route.group.last().extent()));
  raise(sizes.channels, model.head.last.out);
  return sizes;
}

std::ptrdiff_t aligned(std::ptrdiff_t floats) { return Dense::padded(floats); }

}  // namespace

void Arena::Free::operator()(float* memory) const { std::free(memory); }

std::vector<float*> Arena::lay_out(const std::vector<std::ptrdiff_t>& sizes) {
  std::ptrdiff_t total = kGuard;
  for (const std::ptrdiff_t size : sizes) total += aligned(size) + kGuard;
  if (total > capacity_) {
    memory_.reset();
    memory_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, total * sizeof(float))));
    if (!memory_) throw std::bad_alloc();
    capacity_ = total;
  }
  float* next = memory_.get();
  std::fill_n(next, kGuard, 0.0F);
  next += kGuard;
  std::vector<float*> buffers;
  for (const std::ptrdiff_t size : sizes) {
    buffers.push_back(next);
    next += aligned(size);
    std::fill_n(next, kGuard, 0.0F);
    next += kGuard;
  }
  return buffers;
}

Workspace make_workspace(const Model& model, const Route& route, int threads, Arena& arena) {
  const Sizes size = measure(model, route);
  const int images = route.group.images();
  const std::ptrdiff_t channels = Dense::padded(size.channels);
  const std::ptrdiff_t reduced = Dense::padded(size.reduced);
  const std::ptrdiff_t features = Dense::padded(model.head.head.out);
  std::vector<std::ptrdiff_t> sizes = {
      size.phases,        size.map,         size.map,          size.gathered, size.expanded,    size.shortcut,
      images * reduced,   images * channels, images * channels, images * features};
  for (int thread = 0; thread < threads; ++thread) {
    sizes.insert(sizes.end(), {Pointwise::kBlock * size.plane, Pointwise::kBlock * size.plane,
                               2 * Pointwise::kBlock * size.plane, images * channels,
                               images * channels});
  }
  const std::vector<float*> buffers = arena.lay_out(sizes);
  auto next = buffers.begin();
  Workspace space{};
  space.phases = *next++;
  space.maps[0] = *next++;
  space.maps[1] = *next++;
  space.gathered = *next++;
  space.expanded = *next++;
  space.shortcut = *next++;
  space.reduced = {*next++, reduced};
  space.gates = {*next++, channels};
  space.pooled = {*next++, channels};
  space.features = {*next++, features};
  for (int thread = 0; thread < threads; ++thread) {
    Scratch scratch{};
    scratch.primary = *next++;
    scratch.cheap = *next++;
    scratch.shortcut = *next++;
    scratch.sums = {*next++, channels};
    scratch.means = {*next++, channels};
    space.scratch.push_back(scratch);
  }
  return space;
}

}  // namespace ghostnet::cpu
