// The whole network, for a team of threads on the same pictures.
#pragma once

#include "bottleneck.h"
#include "head.h"
#include "stem.h"

namespace ghostnet::cpu {

// Pictures (images, 3, height, width) and outputs (images, outputs), both row-major.
struct Pictures {
  const float* data;
  int height;
  int width;
  float* out;
};

template <int Lanes>
void forward(const Model& model, const Geometry& geometry, const Pictures& pictures,
             Workspace& space, Worker worker) {
  const Grid& first = geometry.input(0);
  stem<Lanes>(model.stem, model.activation, pictures.data, pictures.height, pictures.width, first,
              space.phases, {space.maps[0], first.extent()}, worker);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Grid& in = geometry.input(i);
    const Grid& out = geometry.output(i);
    BottleneckTask<Lanes>(model.blocks[i], model.activation, in, out,
                          {space.maps[i % 2], in.extent()}, {space.maps[(i + 1) % 2], out.extent()},
                          space, worker)
        .run();
  }
  head<Lanes>(model.head, model.activation, geometry.last(),
              {space.maps[model.blocks.size() % 2], geometry.last().extent()}, pictures.out, space,
              worker);
}

}  // namespace ghostnet::cpu
