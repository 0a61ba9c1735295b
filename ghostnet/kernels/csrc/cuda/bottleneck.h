// One Ghost bottleneck: two kernels, one more for a shortcut and two more for squeeze-excite.
#pragma once

#include "ghost_module.h"
#include "shortcut.h"
#include "squeeze_excite.h"
#include "workspace.h"

namespace ghostnet::cuda {

template <class T>
struct BottleneckParams {
  const Bottleneck& block;
  const BlockSchedule& schedule;
  Activation activation;
  const T* in;
  T* out;
};

template <class T>
void bottleneck(Stream& stream, const BottleneckParams<T>& params, const Workspace<T>& space) {
  const auto& [block, schedule, activation, in, out] = params;
  const bool gated = block.has_squeeze_excite();
  const int out_pixels = schedule.out.image_pixels();
  stream.launch(GhostKernel<T>{block.ghost1, block.downsample, activation, schedule.ghost1,
                               schedule.in,
                               MapSource<T>{in, nullptr, block.in(), schedule.in.image_pixels()},
                               nullptr, space.expanded, gated ? space.sums : nullptr});
  if (gated) {
    const ChannelSums sums{space.sums, schedule.ghost1.tiling.per_image(), block.expanded(),
                           1.0F / out_pixels};
    squeeze_excite(stream, block.squeeze_excite, sums, schedule.out.images, space.squeezed,
                   space.gates);
  }
  if (block.has_shortcut()) {
    const DepthwiseSource<T> source{block.shortcut.depthwise, block.stride(), schedule.in,
                                    schedule.out, in};
    stream.launch(ShortcutKernel<T>{block.shortcut.pointwise, source, schedule.shortcut, out});
  }
  const MapSource<T> expanded{space.expanded, gated ? space.gates : nullptr, block.expanded(),
                              out_pixels};
  stream.launch(GhostKernel<T>{block.ghost2, Depthwise{}, Activation::kNone, schedule.ghost2,
                               schedule.out, expanded, block.has_shortcut() ? out : in, out,
                               nullptr});
}

}  // namespace ghostnet::cuda
