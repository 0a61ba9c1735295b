// One Ghost bottleneck: two kernels, one more with a shortcut and two more with squeeze-excite.
#pragma once

#include "ghost_module.h"
#include "shortcut.h"
#include "squeeze_excite.h"
#include "workspace.h"

namespace ghostnet::cuda {

template <class T>
void bottleneck(Stream& stream, const Bottleneck& block, const BlockRoute& route,
                Activation activation, const T* in, T* out, const Workspace<T>& space) {
  const bool gated = block.has_squeeze_excite();
  stream.launch(GhostKernel<T>{
      block.ghost1, block.downsample, activation, route.ghost1, route.in,
      MapSource<T>{in, nullptr, block.in(), route.in.image_pixels()}, nullptr, space.expanded,
      gated ? space.totals : nullptr});
  if (gated) {
    const Totals totals{space.totals, route.ghost1.tiling.per_image(), block.expanded(),
                        1.0F / route.out.image_pixels()};
    squeeze_excite(stream, block.squeeze_excite, totals, route.out.images, space.reduced,
                   space.gates);
  }
  if (block.has_shortcut()) {
    stream.launch(ShortcutKernel<T>{
        block.shortcut.pointwise,
        DepthwiseSource<T>{block.shortcut.depthwise, block.stride(), route.in, route.out, in},
        route.shortcut, out});
  }
  stream.launch(GhostKernel<T>{
      block.ghost2, Depthwise{}, Activation::kNone, route.ghost2, route.out,
      MapSource<T>{space.expanded, gated ? space.gates : nullptr, block.expanded(),
                   route.out.image_pixels()},
      block.has_shortcut() ? out : in, out, nullptr});
}

}  // namespace ghostnet::cuda
