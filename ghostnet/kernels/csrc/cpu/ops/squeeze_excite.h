// Squeeze-excite: from the means of all channels, a gate in [0, 1] for each.
#pragma once

#include "ops/dense.h"
#include "network/model.h"
#include "runtime/thread_team.h"
#include "network/workspace.h"

namespace ghostnet::cpu {

// The sum of a span of a plane.
template <int Lanes>
float span_sum(const float* plane, Range span) {
  Floats<Lanes> sums[4] = {};
  std::ptrdiff_t p = span.begin;
  for (; p + 4 * Lanes <= span.end; p += 4 * Lanes) {
    for (int i = 0; i < 4; ++i) sums[i] += load<Lanes>(plane + p + i * Lanes);
  }
  for (; p + Lanes <= span.end; p += Lanes) sums[0] += load<Lanes>(plane + p);
  float total = sum<Lanes>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; p < span.end; ++p) total += plane[p];
  return total;
}

// Each picture's sum over `rows`, for one channel.
template <int Lanes>
void sum_channel(const float* plane, const Grid& grid, Range rows, std::ptrdiff_t channel,
                 Vectors sums) {
  for (int image = 0; image < grid.images; ++image) {
    const Range own = grid.images == 1 ? rows : grid.image_rows(image);
    sums.vector(image)[channel] = span_sum<Lanes>(plane, grid.span(own));
  }
}

// Fills the gates of every picture from the threads' sums. The pictures' means are small, so each
// thread adds them up for itself.
template <int Lanes>
void squeeze_excite(const SqueezeExcite& layer, const Grid& grid, Workspace& space,
                    Worker worker) {
  const int images = grid.images;
  const Vectors means = space.threads[worker.rank].means;
  const float scale = 1.0F / (grid.height * grid.width);
  for (int image = 0; image < images; ++image) {
    for (std::ptrdiff_t channel = 0; channel < padded(layer.reduce.in); channel += Lanes) {
      Floats<Lanes> total = {};
      for (int rank = 0; rank < worker.size; ++rank) {
        total += load<Lanes>(space.threads[rank].sums.vector(image) + channel);
      }
      store<Lanes>(means.vector(image) + channel, total * scale);
    }
  }
  const Range reduced = worker.share(layer.reduce.out, kMaxLanes);
  dense<Lanes>(layer.reduce, means, space.reduced, images, reduced);
  for_each_pack<Lanes>(space.reduced, images, reduced,
                       [](Floats<Lanes> x) { return relu<Lanes>(x); });
  if (worker.rank == 0) clear_padding<Lanes>(space.reduced, images, layer.reduce.out);
  worker.sync();
  const Range gates = worker.share(layer.expand.out, kMaxLanes);
  dense<Lanes>(layer.expand, space.reduced, space.gates, images, gates);
  for_each_pack<Lanes>(space.gates, images, gates,
                       [](Floats<Lanes> x) { return hard_sigmoid<Lanes>(x); });
  worker.sync();
}

}  // namespace ghostnet::cpu
