// Where a team of threads keeps the feature maps between the blocks.
//
// A team shares low maps by blocks of channels: they are whole, and each thread reads all of them.
// It shares high maps by rows: each thread keeps its own rows, and those around them that the next
// block reads, in memory that no other thread writes. Threads that wrote into the same planes would
// spend half their time on handing cache lines to one another.
#pragma once

#include "network/row_tiling.h"
#include "runtime/thread_team.h"
#include "network/workspace.h"

namespace ghostnet::cpu {

// The fewest rows of output for each thread that a block is shared by rows for.
constexpr int kRowsWorthSharing = 8;

inline bool shared_by_rows(const Grid& out, int threads) {
  return threads > 1 && out.rows() >= kRowsWorthSharing * threads;
}

// The rows of its input that a block reads for some rows of its output: those under its expanded
// map, which has a row more on each side, and one more for the first cheap operation. A shortcut
// reads no others.
inline Range rows_read(const Bottleneck& block, const Grid& in, const Grid& out, Range rows) {
  const Range expanded = out.widened(rows, 1);
  return in.widened(block.stride == 1 ? expanded : rows_under(block, in, out, expanded), 1);
}

// Planes of which only some positions exist, in memory that begins with them.
inline Planes partial_planes(float* memory, Range positions) {
  return {memory - positions.begin, plane_stride(positions.size())};
}

inline void copy_span(Planes from, Planes to, int channels, Range span) {
  for (int c = 0; c < channels; ++c) {
    std::copy(from.plane(c) + span.begin, from.plane(c) + span.end, to.plane(c) + span.begin);
  }
}

// The maps between the blocks, as one thread of a team sees them.
class Maps {
 public:
  Maps(const Model& model, const Route& route, Workspace& space, Worker worker)
      : model_(model), route_(route), space_(space), worker_(worker) {}

  // What block `index` reads, or, past the last, what the head reads.
  Planes input(std::size_t index) const { return input_of(worker_.rank, index); }

  // Copies the rows around this thread's own from where its neighbours keep them.
  void fetch(std::size_t index) const {
    if (!by_rows(index)) return;
    const Grid& grid = route_.geometry(index).input(index);
    const Range kept = kept_rows(worker_.rank, index);
    const Planes own = input(index);
    const int channels = model_.channels(index);
    for (int rank = 0; rank < worker_.size; ++rank) {
      const Range theirs = Worker{rank, worker_.size, nullptr}.share(grid.rows());
      const Range rows{std::max(kept.begin, theirs.begin), std::min(kept.end, theirs.end)};
      if (rank == worker_.rank || rows.size() <= 0) continue;
      copy_span(input_of(rank, index), own, channels, grid.span(rows));
    }
  }

 private:
  bool by_rows(std::size_t index) const {
    return index < model_.blocks.size() &&
           shared_by_rows(route_.geometry(index).output(index), worker_.size);
  }

  Range kept_rows(int rank, std::size_t index) const {
    const Grid& out = route_.geometry(index).output(index);
    return rows_read(model_.blocks[index], route_.geometry(index).input(index), out,
                     Worker{rank, worker_.size, nullptr}.share(out.rows()));
  }

  Planes input_of(int rank, std::size_t index) const {
    const Grid& grid = route_.geometry(index).input(index);
    if (!by_rows(index)) return {space_.maps[index % 2], grid.extent()};
    return partial_planes(space_.threads[rank].maps[index % 2],
                          grid.span(kept_rows(rank, index)));
  }

  const Model& model_;
  const Route& route_;
  Workspace& space_;
  const Worker worker_;
};

}  // namespace ghostnet::cpu
