#include "network/workspace.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "network/feature_maps.h"
#include "ops/stem.h"

namespace ghostnet::cpu {
namespace {

// Of a large page: with small ones, finding the pages takes longer than it should.
constexpr std::size_t kAlignment = 2 * 1024 * 1024;

// The largest of each thing over the blocks of a model, in floats.
struct Sizes {
  std::ptrdiff_t phases = 0;
  std::ptrdiff_t map = 0;
  std::ptrdiff_t gathered = 0;
  std::ptrdiff_t expanded = 0;
  std::ptrdiff_t shortcut = 0;
  std::ptrdiff_t own_map = 0;
  std::ptrdiff_t own_expanded = 0;
  std::ptrdiff_t own_shortcut = 0;
  std::ptrdiff_t plane = 0;
  std::ptrdiff_t product = 0;
  std::ptrdiff_t shortcut_product = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t reduced = 0;
};

std::ptrdiff_t aligned(std::ptrdiff_t floats) { return padded(floats); }

template <class... Values>
void raise(std::ptrdiff_t& largest, Values... values) {
  largest = std::max({largest, static_cast<std::ptrdiff_t>(values)...});
}

// What a depthwise convolution reads above the first plane of the first buffer, or below the last
// plane of the last, before it drops the rows outside the picture.
std::ptrdiff_t beside_planes(const Route& route) {
  constexpr int kMostRows = 2;
  return aligned(kMostRows * route.one.input(0).width + kGuard);
}

// A plane of one thread's rows of a map, and as many around them as any block reads.
std::ptrdiff_t own_plane(const Grid& grid, int threads) {
  constexpr int kMostAround = 6;
  const int rows = std::min(grid.rows(), grid.rows() / threads + 1 + 2 * kMostAround);
  return plane_stride(std::ptrdiff_t{rows} * grid.width);
}

Sizes measure(const Model& model, const Route& route, int threads) {
  Sizes sizes;
  const Grid& first = route.one.input(0);
  sizes.phases = Phases(first).size();
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Bottleneck& block = model.blocks[i];
    const Geometry& geometry = route.geometry(i);
    const std::ptrdiff_t extent = geometry.output(i).extent();
    raise(sizes.map, block.in * geometry.input(i).extent());
    raise(sizes.expanded, block.expanded * extent);
    raise(sizes.shortcut, block.has_shortcut() ? block.in * extent : 0);
    if (shared_by_rows(geometry.output(i), threads)) {
      const std::ptrdiff_t own = own_plane(geometry.output(i), threads);
      raise(sizes.own_map, block.in * own_plane(geometry.input(i), threads), block.out * own);
      raise(sizes.own_expanded, block.expanded * own);
      raise(sizes.own_shortcut, block.has_shortcut() ? block.in * own : 0);
    }
    raise(sizes.plane,
          plane_stride(strip_positions(block, geometry.input(i), geometry.output(i))));
    const std::ptrdiff_t under = strip_positions(block, geometry.input(i), geometry.output(i));
    const std::ptrdiff_t strip = out_strip_positions(block, geometry.input(i), geometry.output(i));
    raise(sizes.product, Tiles::size(block.in, under), Tiles::size(block.expanded, strip));
    raise(sizes.shortcut_product, block.has_shortcut() ? Tiles::size(block.in, strip) : 0);
    raise(sizes.channels, block.expanded);
    raise(sizes.reduced, block.squeeze_excite.reduce.out);
  }
  raise(sizes.map, model.head.last.in * route.group.last().extent());
  raise(sizes.product, Tiles::size(model.head.last.in, route.group.last().extent()));
  raise(sizes.plane, plane_stride(route.group.last().extent()));
  if (route.group.images() > 1) {
    sizes.gathered =
        model.channels(route.together) * route.group.input(route.together).extent();
  }
  raise(sizes.channels, model.head.last.out);
  return sizes;
}

}  // namespace

void Arena::Free::operator()(float* memory) const { std::free(memory); }

std::vector<float*> Arena::lay_out(const std::vector<std::ptrdiff_t>& sizes,
                                   std::ptrdiff_t around) {
  std::ptrdiff_t total = 2 * around;
  for (const std::ptrdiff_t size : sizes) total += aligned(size) + kGuard;
  if (total > capacity_) {
    memory_.reset();
    const std::size_t bytes = (total * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    memory_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
    if (!memory_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(memory_.get(), bytes, MADV_HUGEPAGE);
#endif
    capacity_ = total;
  }
  float* next = memory_.get() + around;
  std::vector<float*> buffers;
  for (const std::ptrdiff_t size : sizes) {
    buffers.push_back(next);
    next += aligned(size) + kGuard;
  }
  return buffers;
}

Workspace make_workspace(const Model& model, const Route& route, int threads, Arena& arena) {
  const Sizes size = measure(model, route, threads);
  const int images = route.group.images();
  const std::ptrdiff_t channels = padded(size.channels);
  const std::ptrdiff_t reduced = padded(size.reduced);
  const std::ptrdiff_t features = padded(model.head.head.out);
  std::vector<std::ptrdiff_t> sizes = {
      size.map,          size.map,          size.gathered,      size.expanded,    size.shortcut,
      images * reduced,  images * channels, images * channels,  images * features};
  for (int thread = 0; thread < threads; ++thread) {
    const std::ptrdiff_t block = std::max(Pointwise::kBlock, Tiles::kBlock) * size.plane;
    sizes.insert(sizes.end(), {size.phases, size.own_map, size.own_map, size.own_expanded,
                               size.own_shortcut, size.product, size.shortcut_product, block,
                               size.plane, 2 * block, images * channels, images * channels});
  }
  const std::vector<float*> buffers = arena.lay_out(sizes, beside_planes(route));
  auto next = buffers.begin();
  Workspace space{};
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
    ThreadSpace own{};
    own.phases = *next++;
    own.maps[0] = *next++;
    own.maps[1] = *next++;
    own.expanded = *next++;
    own.shortcut = *next++;
    own.product = *next++;
    own.shortcut_product = *next++;
    own.block_primary = *next++;
    own.cheap = *next++;
    own.block_shortcut = *next++;
    own.sums = {*next++, channels};
    own.means = {*next++, channels};
    space.threads.push_back(own);
  }
  return space;
}

}  // namespace ghostnet::cpu
