#include "network/schedule_cache.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "runtime/per_process.h"

namespace ghostnet::cpu {
namespace {

// Schedules that are kept: those of single images and of groups, for two networks.
constexpr std::size_t kKept = 4;

// The most pixels of an image whose schedules are kept, which take up to 4 MB each.
constexpr std::int64_t kMaxKeptPixels = 512 * 512;

// All that a schedule depends on.
struct Key {
  std::array<int, 3> size;  // images, height, width
  std::vector<std::array<int, 3>> blocks;

  Key(const Model& model, int images, int height, int width) : size{images, height, width} {
    blocks.reserve(model.blocks.size());
    for (const Bottleneck& block : model.blocks) {
      blocks.push_back(
          {block.expanded, block.stride, static_cast<int>(block.attention.upsampling)});
    }
  }

  bool operator==(const Key& other) const { return size == other.size && blocks == other.blocks; }
};

using KeptSchedule = std::pair<Key, std::shared_ptr<const Schedule>>;

struct KeptSchedules {
  std::mutex mutex;
  std::vector<KeptSchedule> last_used_first;
};

const PerProcess<KeptSchedules> kept;

// The kept schedule of a key, or null.
std::shared_ptr<const Schedule> find_kept(const Key& key) {
  const std::lock_guard<std::mutex> lock(kept->mutex);
  auto& schedules = kept->last_used_first;
  const auto found = std::find_if(schedules.begin(), schedules.end(),
                                  [&](const KeptSchedule& one) { return one.first == key; });
  if (found == schedules.end()) return nullptr;
  std::rotate(schedules.begin(), found, found + 1);
  return schedules.front().second;
}

void keep(KeptSchedule schedule) {
  const std::lock_guard<std::mutex> lock(kept->mutex);
  auto& schedules = kept->last_used_first;
  schedules.insert(schedules.begin(), std::move(schedule));
  if (schedules.size() > kKept) schedules.pop_back();
}

}  // namespace

std::shared_ptr<const Schedule> find_schedule(const Model& model, int images, int height,
                                              int width) {
  Key key(model, images, height, width);
  if (auto found = find_kept(key)) return found;
  const auto made = std::make_shared<const Schedule>(model, images, height, width);
  if (std::int64_t{height} * width <= kMaxKeptPixels) keep({std::move(key), made});
  return made;
}

}  // namespace ghostnet::cpu
