// The whole network, for a team of threads on the same pictures.
#pragma once

#include "network/bottleneck.h"
#include "network/head.h"
#include "ops/stem.h"

namespace ghostnet::cpu {

// Pictures (images, 3, height, width) and outputs (images, outputs), both row-major.
struct Pictures {
  const float* data;
  int height;
  int width;
  float* out;
};

template <class Layer>
Span rows_of(const Layer& layer, Worker worker) {
  const Range own = worker.share(layer.out, kMaxLanes);
  return {reinterpret_cast<const char*>(layer.row(own.begin)),
          reinterpret_cast<const char*>(layer.row(own.end))};
}

// What a thread reads of the first squeeze-excite from block `index` on, or else of the head.
inline Upcoming dense_after(const Model& model, std::size_t index, Worker worker) {
  for (; index < model.blocks.size(); ++index) {
    const SqueezeExcite& layer = model.blocks[index].squeeze_excite;
    if (layer.reduce.out > 0) {
      return {{rows_of(layer.reduce, worker), rows_of(layer.expand, worker)}};
    }
  }
  return {{rows_of(model.head.head, worker), {}}};
}

template <class Product>
void run_block(const Model& model, const Route& route, std::size_t index, Planes in,
               Workspace& space, Worker worker) {
  const Maps maps(model, route, space, worker);
  maps.fetch(index);
  BottleneckTask<Product>(model.blocks[index], model.activation, route.geometry(index).input(index),
                          route.geometry(index).output(index), in, maps.input(index + 1),
                          dense_after(model, index + 1, worker), space, worker)
      .run();
}

// The stem and the blocks that pictures go through one by one.
template <class Product>
void forward_alone(const Model& model, const Route& route, const Pictures& picture,
                   Workspace& space, Worker worker) {
  const Maps maps(model, route, space, worker);
  const Grid& first = route.one.input(0);
  stem<Product::kLanes>(model.stem, model.activation, picture.data, picture.height, picture.width,
                        first, maps.input(0), space, worker);
  for (std::size_t i = 0; i < route.together; ++i) {
    run_block<Product>(model, route, i, maps.input(i), space, worker);
  }
}

// Puts a picture's map below those of the pictures before it.
inline void gather(const Model& model, const Route& route, int image, Planes map,
                   Planes gathered) {
  const Grid& one = route.one.input(route.together);
  for (int c = 0; c < model.channels(route.together); ++c) {
    float* plane = gathered.plane(c);
    std::copy_n(map.plane(c), one.size(), plane + image * one.size());
  }
}

// As many pictures as the route is for.
template <class Product>
void forward(const Model& model, const Route& route, const Pictures& pictures, Workspace& space,
             Worker worker) {
  const Maps maps(model, route, space, worker);
  const std::size_t together = route.together;
  Planes map = maps.input(together);
  if (route.group.images() == 1) {
    forward_alone<Product>(model, route, pictures, space, worker);
  } else {
    map = {space.gathered, route.group.input(together).extent()};
    for (int image = 0; image < route.group.images(); ++image) {
      Pictures picture = pictures;
      picture.data += std::ptrdiff_t{image} * 3 * picture.height * picture.width;
      forward_alone<Product>(model, route, picture, space, worker);
      gather(model, route, image, maps.input(together), map);
    }
  }
  for (std::size_t i = together; i < model.blocks.size(); ++i) {
    run_block<Product>(model, route, i, map, space, worker);
    map = maps.input(i + 1);
  }
  head<Product>(model.head, model.activation, route.group.last(), map, pictures.out, space, worker);
}

}  // namespace ghostnet::cpu
