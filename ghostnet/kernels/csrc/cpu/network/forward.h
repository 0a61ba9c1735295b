// The whole network, for a team of threads on the same images.
#pragma once

#include <algorithm>
#include <cstddef>

#include "network/block.h"
#include "network/bottleneck.h"
#include "network/context.h"
#include "network/dispatch.h"
#include "network/feature_maps.h"
#include "network/geometry.h"
#include "network/head.h"
#include "network/inverted_residual.h"
#include "network/model.h"
#include "network/schedule.h"
#include "network/workspace.h"
#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "ops/squeeze_excite.h"
#include "ops/stem.h"
#include "runtime/thread_team.h"
#include "simd/prefetch.h"

namespace ghostnet::cpu {

// The weights of a dense layer that a thread reads.
inline MemoryRange weights_of(const Dense& layer, const TeamMember& member) {
  const Range rows = member.part_of(layer.out, kMaxLanes);
  return {layer.row(rows.begin), layer.row(rows.end)};
}

// The weights that a thread reads in the first squeeze-excite from block `index` on, or, if there
// is none, in the head.
inline PrefetchTargets dense_from(std::size_t index, const ForwardContext& context) {
  const Model& model = context.model;
  for (; index < model.blocks.size(); ++index) {
    const SqueezeExcite& layer = model.blocks[index].squeeze_excite;
    if (layer.reduce.out > 0) {
      return {{weights_of(layer.reduce, context.member), weights_of(layer.expand, context.member)}};
    }
  }
  return {{weights_of(model.head.first_dense(), context.member), {}}};
}

template <class PointwiseKernel>
void run_block(std::size_t index, Planes in, const ForwardContext& context) {
  const FeatureMaps maps(context);
  maps.fetch_halo(index);
  const Geometry& geometry = context.schedule.geometry(index);
  const BlockParams params{context.model.blocks[index],
                           geometry.input(index),
                           geometry.output(index),
                           geometry.gates(index),
                           in,
                           maps.input(index + 1),
                           dense_from(index + 1, context)};
  if (params.block.kind == BlockKind::kInvertedResidual) {
    InvertedResidualTask<PointwiseKernel>(params, context).run();
  } else {
    BottleneckTask<PointwiseKernel>(params, context).run();
  }
}

template <int Lanes>
void run_stem(const Image& image, Planes out, const ForwardContext& context) {
  const Grid& grid = context.schedule.one.input(0);
  ThreadWorkspace& own = context.own();
  const StemParams params{
      context.model.stem, context.model.activation, image, grid, out, own.phases,
      own.quantized,      &own.prefetcher};
  stem<Lanes>(params, own_rows(context.member, grid));
  context.member.sync();
}

// The stem and the blocks that images go through one by one.
template <class PointwiseKernel>
void forward_one(const Image& image, const ForwardContext& context) {
  const FeatureMaps maps(context);
  run_stem<PointwiseKernel::kLanes>(image, maps.input(0), context);
  for (std::size_t i = 0; i < context.schedule.together; ++i) {
    run_block<PointwiseKernel>(i, maps.input(i), context);
  }
}

// Copies an image's map to its place below the maps of the images before it.
inline void gather(const ForwardContext& context, int image, Planes map, Planes gathered) {
  const std::size_t together = context.schedule.together;
  const std::ptrdiff_t size = context.schedule.one.input(together).size();
  for (int c = 0; c < context.model.channels(together); ++c) {
    std::copy_n(map.plane(c), size, gathered.plane(c) + image * size);
  }
}

template <class PointwiseKernel>
void forward(const ForwardContext& context, const ImageBatch& batch) {
  const FeatureMaps maps(context);
  const Schedule& schedule = context.schedule;
  const std::size_t together = schedule.together;
  Planes map = maps.input(together);
  if (schedule.images() == 1) {
    forward_one<PointwiseKernel>({batch.pixels, batch.height, batch.width}, context);
  } else {
    map = {context.workspace.gathered, schedule.group.input(together).stride()};
    for (int image = 0; image < schedule.images(); ++image) {
      const float* const pixels = batch.pixels + image * batch.image_size();
      forward_one<PointwiseKernel>({pixels, batch.height, batch.width}, context);
      gather(context, image, maps.input(together), map);
    }
  }
  for (std::size_t i = together; i < context.model.blocks.size(); ++i) {
    run_block<PointwiseKernel>(i, map, context);
    map = maps.input(i + 1);
  }
  head<PointwiseKernel>(schedule.group.last(), map, context, batch.out);
}

}  // namespace ghostnet::cpu
