// The feature maps between the bottlenecks, as one thread of a team sees them.
//
// Where the team partitions a bottleneck by channel tiles, the map is whole and every thread reads
// all of it. Where it partitions by rows, each thread keeps its own rows and their halo in memory
// that no other thread writes. Threads that wrote into the same planes would spend half their time
// on passing cache lines to one another.
#pragma once

#include <cstddef>

#include "network/context.h"
#include "network/geometry.h"
#include "network/model.h"
#include "network/row_partition.h"
#include "network/schedule.h"
#include "network/workspace.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "runtime/thread_team.h"

namespace ghostnet::cpu {

class FeatureMaps {
 public:
  explicit FeatureMaps(const ForwardContext& context)
      : model_(context.model),
        schedule_(context.schedule),
        space_(context.workspace),
        member_(context.member) {}

  // The map that block `index` reads, or, past the last block, the head.
  Planes input(std::size_t index) const { return input_of(member_.rank, index); }

  // Copies the halo of this thread's rows from the threads that computed it.
  void fetch_halo(std::size_t index) const;

 private:
  Range rows_of(int rank, const Grid& grid) const {
    return own_rows({rank, member_.team_size, nullptr}, grid);
  }

  bool is_by_rows(std::size_t index) const {
    return index < model_.blocks.size() &&
           is_partitioned_by_rows(schedule_.geometry(index).output(index), member_.team_size);
  }

  Range kept_rows(int rank, std::size_t index) const {
    const Geometry& geometry = schedule_.geometry(index);
    const Grid& out = geometry.output(index);
    return rows_read(model_.blocks[index], geometry.input(index), out, rows_of(rank, out));
  }

  Planes input_of(int rank, std::size_t index) const {
    const Grid& grid = schedule_.geometry(index).input(index);
    if (!is_by_rows(index)) return {space_.maps[index % 2], grid.stride()};
    return partial_planes(space_.threads[rank].maps[index % 2], grid.span(kept_rows(rank, index)));
  }

  const Model& model_;
  const Schedule& schedule_;
  const Workspace& space_;
  const TeamMember member_;
};

}  // namespace ghostnet::cpu
