#include "network/workspace.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "network/geometry.h"
#include "network/model.h"
#include "network/piece_sums.h"
#include "ops/amx_packing.h"
#include "ops/attention.h"
#include "ops/dense.h"
#include "ops/planes.h"
#include "ops/pointwise.h"
#include "ops/stem.h"
#include "simd/vector.h"

namespace ghostnet::cpu {
namespace {

// The largest size of each kind of buffer over all layers, in floats.
struct BufferSizes {
  std::ptrdiff_t phases = 0;
  std::ptrdiff_t map = 0;
  std::ptrdiff_t gathered = 0;
  std::ptrdiff_t expanded = 0;
  std::ptrdiff_t shortcut = 0;
  std::ptrdiff_t own_map = 0;  // own: of one thread's rows
  std::ptrdiff_t own_expanded = 0;
  std::ptrdiff_t own_shortcut = 0;
  std::ptrdiff_t plane = 0;
  std::ptrdiff_t pooled = 0;
  std::ptrdiff_t pooled_input = 0;
  std::ptrdiff_t gates = 0;  // of one channel
  std::ptrdiff_t gated = 0;
  std::ptrdiff_t input = 0;
  std::ptrdiff_t shortcut_input = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t sums = 0;
  std::ptrdiff_t squeezed = 0;
  std::ptrdiff_t quantized = 0;  // 0 without quantized layers
};

template <class... Values>
void raise(std::ptrdiff_t& largest, Values... values) {
  largest = std::max({largest, static_cast<std::ptrdiff_t>(values)...});
}

// What a depthwise convolution reads above the first plane of the first buffer, or below the last
// plane of the last, before it discards the rows outside the image.
std::ptrdiff_t outer_margin(const Schedule& schedule) {
  constexpr int kMaxRowsOutside = 2;
  return padded(kMaxRowsOutside * schedule.one.input(0).width + kReadMargin);
}

// A plane of one thread's rows of a map, with the largest halo that any bottleneck reads.
std::ptrdiff_t own_plane(const Grid& grid, int threads) {
  constexpr int kMaxHalo = 12;
  constexpr int kUneven = 2 * (kPieceRows + 1);  // rows more than the others have, of either map
  const int rows = std::min(grid.rows(), grid.rows() / threads + kUneven + 2 * kMaxHalo);
  return plane_stride(std::ptrdiff_t{rows} * grid.width);
}

void measure_attention(const Bottleneck& block, const Grid& in, const Grid& out, const Grid& gates,
                       BufferSizes& sizes) {
  const std::ptrdiff_t tile = gate_tile_positions(block, in, out, gates);
  raise(sizes.pooled, block.in * plane_stride(tile));
  raise(sizes.pooled_input, amx_input_size(block.in, tile));
  raise(sizes.gates, plane_stride(tile));
  raise(sizes.gated, plane_stride(input_tile_positions(block, in, out)));
}

void measure_block(const Bottleneck& block, const Grid& in, const Grid& out, int threads,
                   BufferSizes& sizes) {
  const int shortcut_channels = block.has_shortcut() ? block.in : 0;
  raise(sizes.map, block.in * in.stride());
  raise(sizes.expanded, block.expanded * out.stride());
  raise(sizes.shortcut, shortcut_channels * out.stride());
  if (is_partitioned_by_rows(out, threads)) {
    const std::ptrdiff_t own = own_plane(out, threads);
    raise(sizes.own_map, block.in * own_plane(in, threads), block.out * own);
    raise(sizes.own_expanded, block.expanded * own);
    raise(sizes.own_shortcut, shortcut_channels * own);
  }
  if (block.ghost1.cheap.is_quantized()) raise(sizes.quantized, in.stride(), out.stride());
  const std::ptrdiff_t input_tile = input_tile_positions(block, in, out);
  const std::ptrdiff_t output_tile = output_tile_positions(block, in, out);
  raise(sizes.plane, plane_stride(input_tile));
  // The pointwise kernel on bytes needs less than the one on AMX, and that on floats nothing.
  raise(sizes.input, amx_input_size(block.in, input_tile),
        amx_input_size(block.expanded, output_tile));
  raise(sizes.shortcut_input, amx_input_size(shortcut_channels, output_tile));
  raise(sizes.channels, block.expanded);
  raise(sizes.squeezed, block.squeeze_excite.reduce.out);
  if (block.has_squeeze_excite()) {
    raise(sizes.sums, PieceSums(nullptr, out, block.expanded).size());
  }
}

BufferSizes measure(const Model& model, const Schedule& schedule, int threads) {
  BufferSizes sizes;
  const Grid& first = schedule.one.input(0);
  sizes.phases = PhaseLayout(first).size();
  if (model.stem.is_quantized()) sizes.quantized = quantized_row_size(first);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const Geometry& geometry = schedule.geometry(i);
    const Bottleneck& block = model.blocks[i];
    measure_block(block, geometry.input(i), geometry.output(i), threads, sizes);
    if (block.has_attention()) {
      measure_attention(block, geometry.input(i), geometry.output(i), geometry.gates(i).grid,
                        sizes);
    }
  }
  const Grid& last = schedule.group.last();
  const int last_channels = model.head.last.in;
  raise(sizes.map, last_channels * last.stride());
  raise(sizes.input, amx_input_size(last_channels, last.stride()));
  raise(sizes.plane, plane_stride(last.stride()));
  raise(sizes.channels, model.head.last.out);
  if (schedule.images() > 1) {
    const std::size_t together = schedule.together;
    sizes.gathered = model.channels(together) * schedule.group.input(together).stride();
  }
  return sizes;
}

// Places every buffer of a workspace.
class WorkspacePlacer {
 public:
  WorkspacePlacer(const BufferSizes& sizes, int features, int images, BufferPlacer& buffers)
      : sizes_(sizes), features_(features), images_(images), buffers_(buffers) {}

  Workspace place(int threads) {
    Workspace space{};
    for (float*& map : space.maps) map = buffers_.place(sizes_.map);
    space.gathered = buffers_.place(sizes_.gathered);
    space.expanded = buffers_.place(sizes_.expanded);
    space.shortcut = buffers_.place(sizes_.shortcut);
    space.squeezed = place_rows(sizes_.squeezed);
    space.gates = place_rows(sizes_.channels);
    space.pooled = place_rows(sizes_.channels);
    space.features = place_rows(features_);
    for (int thread = 0; thread < threads; ++thread) space.threads.push_back(place_thread());
    return space;
  }

 private:
  ThreadWorkspace place_thread() {
    constexpr int kMaxChannelTile = std::max(Pointwise::kChannelTile, AmxWeights::kChannelTile);
    const std::ptrdiff_t channel_tile = kMaxChannelTile * sizes_.plane;
    ThreadWorkspace own{};
    own.phases = buffers_.place(sizes_.phases);
    for (float*& map : own.maps) map = buffers_.place(sizes_.own_map);
    own.expanded = buffers_.place(sizes_.own_expanded);
    own.shortcut = buffers_.place(sizes_.own_shortcut);
    own.input = buffers_.place(sizes_.input);
    own.shortcut_input = buffers_.place(sizes_.shortcut_input);
    own.primary = buffers_.place(channel_tile);
    own.cheap = buffers_.place(sizes_.plane);
    own.pooled = buffers_.place(sizes_.pooled);
    own.pooled_input = buffers_.place(sizes_.pooled_input);
    own.gates = buffers_.place(kMaxChannelTile * sizes_.gates);
    own.strips = buffers_.place(kMaxChannelTile * sizes_.gates);
    own.gated = buffers_.place(sizes_.gated);
    own.gate_lanes.first = place_integers(sizes_.gated);
    own.gate_lanes.lanes = place_integers(sizes_.gated + kMaxLanes);
    own.shortcut_output = buffers_.place(2 * channel_tile);
    own.quantized = buffers_.place(sizes_.quantized);
    own.bytes = place_bytes(sizes_.quantized > 0 ? std::max(sizes_.channels, sizes_.squeezed) : 0);
    own.sums = buffers_.place(sizes_.sums);
    own.means = place_rows(sizes_.channels);
    return own;
  }

  std::int32_t* place_integers(std::ptrdiff_t count) {
    static_assert(sizeof(std::int32_t) == sizeof(float));
    return reinterpret_cast<std::int32_t*>(buffers_.place(count));
  }

  ByteRows place_bytes(std::ptrdiff_t channels) {
    const std::ptrdiff_t words = padded(channels) / static_cast<std::ptrdiff_t>(sizeof(float));
    return {place_integers(images_ * words), words};
  }

  ChannelRows place_rows(std::ptrdiff_t channels) {
    return {buffers_.place(images_ * padded(channels)), padded(channels)};
  }

  const BufferSizes& sizes_;
  const int features_;
  const int images_;
  BufferPlacer& buffers_;
};

}  // namespace

Workspace make_workspace(const Model& model, const Schedule& schedule, int threads, Arena& arena) {
  const BufferSizes sizes = measure(model, schedule, threads);
  const auto place_all = [&](BufferPlacer& buffers) {
    return WorkspacePlacer(sizes, model.head.head.out, schedule.images(), buffers).place(threads);
  };
  BufferPlacer measured(nullptr);
  place_all(measured);
  const std::ptrdiff_t margin = outer_margin(schedule);
  BufferPlacer placed(arena.reserve(measured.floats() + 2 * margin) + margin);
  return place_all(placed);
}

}  // namespace ghostnet::cpu
