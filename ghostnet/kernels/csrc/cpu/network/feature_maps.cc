#include "network/feature_maps.h"

#include <algorithm>
#include <cstddef>

#include "ops/planes.h"
#include "ops/range.h"

namespace ghostnet::cpu {
namespace {

void copy_span(Planes from, Planes to, int channels, Range span) {
  for (int c = 0; c < channels; ++c) {
    std::copy(from.plane(c) + span.begin, from.plane(c) + span.end, to.plane(c) + span.begin);
  }
}

}  // namespace

void FeatureMaps::fetch_halo(std::size_t index) const {
  if (!is_by_rows(index)) return;
  const Grid& grid = schedule_.geometry(index).input(index);
  const Range kept = kept_rows(member_.rank, index);
  const Planes own = input(index);
  for (int rank = 0; rank < member_.team_size; ++rank) {
    const Range theirs = rows_of(rank, grid);
    const Range rows{std::max(kept.begin, theirs.begin), std::min(kept.end, theirs.end)};
    if (rank == member_.rank || rows.size() <= 0) continue;
    copy_span(input_of(rank, index), own, model_.channels(index), grid.span(rows));
  }
}

}  // namespace ghostnet::cpu
