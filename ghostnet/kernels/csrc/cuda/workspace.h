// The memory that one call works in: one allocation, made by the caller.
#pragma once

#include <cstddef>
#include <cstdint>

#include "schedule.h"

namespace ghostnet::cuda {

template <class T>
struct Workspace {
  T* maps[2];       // input and output of a bottleneck, in turn
  T* expanded;      // output of the first Ghost module, at the bottleneck's output size
  float* sums;      // of each channel over the pixels of a region
  float* squeezed;  // between the dense layers of squeeze-excite
  float* gates;     // of squeeze-excite
  float* features;  // input of the classifier

  // Places the buffers in `memory`, one after the other. Without memory it only measures.
  Workspace(const Model& model, const Schedule& schedule, char* memory) : memory_(memory) {
    const Sizes sizes(model, schedule);
    for (T*& map : maps) map = place<T>(sizes.map);
    expanded = place<T>(sizes.expanded);
    sums = place<float>(sizes.sums);
    squeezed = place<float>(sizes.gates);
    gates = place<float>(sizes.gates);
    features = place<float>(sizes.features);
  }

  std::int64_t bytes() const { return used_; }

 private:
  static constexpr std::int64_t kAlignment = 256;

  // The largest size of each buffer over all layers, in elements.
  struct Sizes {
    std::int64_t map;
    std::int64_t expanded = 0;
    std::int64_t sums;
    std::int64_t gates = 0;
    std::int64_t features;

    Sizes(const Model& model, const Schedule& schedule) {
      const std::int64_t images = schedule.input.images;
      const int last_regions = ceil_div(schedule.last_grid.image_pixels(), schedule.last.pixels);
      map = static_cast<std::int64_t>(schedule.stem.pixels()) * model.stem.out;
      sums = images * last_regions * model.head.last.out;
      features = images * model.head.head.out;
      for (std::size_t i = 0; i < model.blocks.size(); ++i) {
        const Bottleneck& block = model.blocks[i];
        const std::int64_t pixels = schedule.blocks[i].out.pixels();
        map = max(map, pixels * block.out());
        expanded = max(expanded, pixels * block.expanded());
        if (!block.has_squeeze_excite()) continue;
        const int regions = schedule.blocks[i].ghost1.tiling.per_image();
        sums = max(sums, images * regions * block.expanded());
        gates = max(gates, images * block.expanded());
      }
    }
  };

  template <class Value>
  Value* place(std::int64_t count) {
    char* const buffer = memory_ == nullptr ? nullptr : memory_ + used_;
    const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(Value));
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return reinterpret_cast<Value*>(buffer);
  }

  char* memory_;
  std::int64_t used_ = 0;
};

}  // namespace ghostnet::cuda
