// The memory that one call works in: one piece, handed in from outside.
#pragma once

#include <cstdint>

#include "schedule.h"

namespace ghostnet::cuda {

template <class T>
struct Workspace {
  T* maps[2];       // input and output of a block, in turn
  T* expanded;      // output of the first Ghost module, at the block's output size
  float* totals;    // sums over the pixels of a region
  float* reduced;   // inside squeeze-excite
  float* gates;     // of squeeze-excite
  float* features;  // what the classifier reads

  // Lays the buffers out from `memory` on; with a null pointer it only measures them.
  Workspace(const Model& model, const Route& route, char* memory) : memory_(memory) {
    std::int64_t map = static_cast<std::int64_t>(route.stem.pixels()) * model.stem.out;
    std::int64_t widest = 0;
    std::int64_t sums = totals_of(model.head.last, ceil_div(route.last_grid.image_pixels(),
                                                            route.last.pixels),
                                  route.pictures.images);
    std::int64_t vector = 0;
    for (std::size_t i = 0; i < model.blocks.size(); ++i) {
      const Bottleneck& block = model.blocks[i];
      const BlockRoute& step = route.blocks[i];
      const std::int64_t pixels = step.out.pixels();
      map = max(map, pixels * block.out());
      widest = max(widest, pixels * block.expanded());
      if (!block.has_squeeze_excite()) continue;
      sums = max(sums, totals_of(block.squeeze_excite.expand, step.ghost1.tiling.per_image(),
                                 route.pictures.images));
      vector = max(vector, static_cast<std::int64_t>(route.pictures.images) * block.expanded());
    }
    for (T*& buffer : maps) buffer = take<T>(map);
    expanded = take<T>(widest);
    totals = take<float>(sums);
    reduced = take<float>(vector);
    gates = take<float>(vector);
    features =
        take<float>(static_cast<std::int64_t>(route.pictures.images) * model.head.head.out);
  }

  std::int64_t bytes() const { return used_; }

 private:
  static constexpr std::int64_t kAlignment = 256;

  static std::int64_t totals_of(const Pointwise& layer, int regions, int images) {
    return static_cast<std::int64_t>(images) * regions * layer.out;
  }

  template <class Value>
  Value* take(std::int64_t count) {
    char* const taken = memory_ == nullptr ? nullptr : memory_ + used_;
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(Value));
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<Value*>(taken);
  }

  char* memory_;
  std::int64_t used_ = 0;
};

}  // namespace ghostnet::cuda
