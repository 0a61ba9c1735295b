// Squeeze-excite by a team of threads.
#pragma once

#include <cstddef>

#include "network/context.h"
#include "network/piece_sums.h"
#include "network/workspace.h"
#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/squeeze_excite.h"
#include "runtime/thread_team.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

// Adds the threads' sums up to the means of all channels, piece by piece; all threads but one have
// zeros for a piece of a channel. The rows are short, so each thread does it for itself rather than
// wait for another.
template <int Lanes>
void average_sums(const Workspace& space, int team_size, const Grid& grid, int channels,
                  ChannelRows means) {
  const float scale = 1.0F / (grid.height * grid.width);
  const int pieces = pieces_per_image(grid);
  for (int image = 0; image < grid.images; ++image) {
    for (std::ptrdiff_t channel = 0; channel < padded(channels); channel += Lanes) {
      Floats<Lanes> total = {};
      for (int piece = image * pieces; piece < (image + 1) * pieces; ++piece) {
        for (int rank = 0; rank < team_size; ++rank) {
          const PieceSums sums(space.threads[rank].sums, grid, channels);
          total += load<Lanes>(sums.rows.row(piece) + channel);
        }
      }
      store<Lanes>(means.row(image) + channel, total * scale);
    }
  }
}

// Computes the gates of every image from the threads' sums over `grid`.
template <class PointwiseKernel>
void squeeze_excite(const SqueezeExcite& layer, const Grid& grid, const ForwardContext& context) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  const TeamMember& member = context.member;
  const Workspace& space = context.workspace;
  const int images = grid.images;
  average_sums<Lanes>(space, member.team_size, grid, layer.reduce.in, context.own().means);
  squeeze<PointwiseKernel>(layer.reduce, context.own().means, space.squeezed, images,
                           member.part_of(layer.reduce.out, kMaxLanes), context.own().bytes);
  if (member.rank == 0) clear_padding<Lanes>(space.squeezed, images, layer.reduce.out);
  member.sync();
  excite<PointwiseKernel>(layer.expand, space.squeezed, space.gates, images,
                          member.part_of(layer.expand.out, kMaxLanes), context.own().bytes);
  member.sync();
}

}  // namespace ghostnet::cpu
