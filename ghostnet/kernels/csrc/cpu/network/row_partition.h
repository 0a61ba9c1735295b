// How a team partitions a bottleneck: by rows where the map is high, else by channel tiles.
#pragma once

#include "network/model.h"
#include "network/row_tiling.h"
#include "ops/planes.h"
#include "ops/range.h"
#include "runtime/thread_team.h"

namespace ghostnet::cpu {

// The fewest rows of output a thread for which partitioning by rows is worth its halo.
constexpr int kMinRowsPerThread = 8;

// A team partitions the rows of a map at multiples of this.
constexpr int kPieceRows = 2;

// Sums over a channel are added up in pieces that do not depend on the team, so that the result is
// the same to the bit: a map that no team partitions by rows is one piece.
inline int piece_height(const Grid& grid) {
  return grid.height < 2 * kMinRowsPerThread ? grid.height : kPieceRows;
}

inline int pieces_per_image(const Grid& grid) {
  return (grid.height + piece_height(grid) - 1) / piece_height(grid);
}

// A member's rows of a map that its team partitions by rows.
inline Range own_rows(const TeamMember& member, const Grid& grid) {
  return member.part_of(grid.rows(), kPieceRows);
}

inline bool is_partitioned_by_rows(const Grid& out, int threads) {
  return threads > 1 && out.rows() >= kMinRowsPerThread * threads;
}

// The most rows of input above or below a row of output that its gates depend on: the 5×1 kernel
// reaches two rows of gates further, which are four of the map, and rounding three more.
constexpr int kGateHalo = 7;

// The rows of input, halo included, that a bottleneck reads for some rows of output: those under
// its expanded map, which has a halo of one row, and one more row for the first cheap operation. A
// shortcut reads no others. An inverted residual reads fewer, but keeps these, since a thread's
// rows of the input, which need not lie under its rows of the output, have to be among them.
inline Range rows_read(const Bottleneck& block, const Grid& in, const Grid& out, Range rows) {
  const Range expanded = out.with_halo(rows, 1);
  const int halo = block.has_attention() ? kGateHalo : 1;
  return in.with_halo(block.stride == 1 ? expanded : rows_under(block, in, out, expanded), halo);
}

}  // namespace ghostnet::cpu
