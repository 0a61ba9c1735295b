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
void run_block(const Model& model, const Geometry& geometry, std::size_t index, const float* in,
               Workspace& space, Worker worker) {
  const Grid& in_grid = geometry.input(index);
  const Grid& out_grid = geometry.output(index);
  BottleneckTask<Lanes>(model.blocks[index], model.activation, in_grid, out_grid,
                        {const_cast<float*>(in), in_grid.extent()},
                        {space.maps[(index + 1) % 2], out_grid.extent()}, space, worker)
      .run();
}

// The stem and the blocks that pictures go through one by one. The map lies in
// space.maps[route.together % 2].
template <int Lanes>
void forward_alone(const Model& model, const Route& route, const Pictures& picture,
                   Workspace& space, Worker worker) {
  const Grid& first = route.one.input(0);
  stem<Lanes>(model.stem, model.activation, picture.data, picture.height, picture.width, first,
              space.phases, {space.maps[0], first.extent()}, worker);
  for (std::size_t i = 0; i < route.together; ++i) {
    run_block<Lanes>(model, route.one, i, space.maps[i % 2], space, worker);
  }
}

// Puts a picture's map below those of the pictures before it.
inline void gather(const Planes& map, const Grid& one, int image, const Grid& group, int channels,
                   float* gathered) {
  for (int c = 0; c < channels; ++c) {
    float* plane = gathered + c * group.extent();
    std::copy_n(map.plane(c), one.size(), plane + image * one.size());
    std::fill(plane + group.size(), plane + group.extent(), 0.0F);
  }
}

// As many pictures as the route is for.
template <int Lanes>
void forward(const Model& model, const Route& route, const Pictures& pictures, Workspace& space,
             Worker worker) {
  const int images = route.group.images();
  const float* map = space.maps[route.together % 2];
  for (int image = 0; image < images; ++image) {
    Pictures picture = pictures;
    picture.data += std::ptrdiff_t{image} * 3 * picture.height * picture.width;
    forward_alone<Lanes>(model, route, picture, space, worker);
    if (images == 1) continue;
    const Grid& one = route.one.input(route.together);
    gather({space.maps[route.together % 2], one.extent()}, one, image,
           route.group.input(route.together), model.blocks[route.together].in, space.gathered);
    map = space.gathered;
  }
  for (std::size_t i = route.together; i < model.blocks.size(); ++i) {
    run_block<Lanes>(model, route.group, i, i == route.together ? map : space.maps[i % 2], space,
                     worker);
  }
  const Grid& last = route.group.last();
  head<Lanes>(model.head, model.activation, last,
              {space.maps[model.blocks.size() % 2], last.extent()}, pictures.out, space, worker);
}

}  // namespace ghostnet::cpu
