#include "runtime/arena.h"

#include <sys/mman.h>

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "ops/planes.h"
#include "runtime/per_process.h"

namespace ghostnet::cpu {
namespace {

// The size of a huge page. With small pages, address translation costs measurable time.
constexpr std::size_t kAlignment = 2 * 1024 * 1024;

// Buffers begin at multiples of so many floats.
constexpr std::ptrdiff_t kBufferAlignment = 64;

struct IdleArenas {
  std::mutex mutex;
  std::vector<std::unique_ptr<Arena>> list;
};

const PerProcess<IdleArenas> idle;

}  // namespace

float* Arena::reserve(std::ptrdiff_t floats) {
  if (floats <= capacity_) return memory_.get();
  memory_.reset();
  capacity_ = 0;
  const std::size_t bytes = (floats * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  memory_.reset(static_cast<float*>(std::aligned_alloc(kAlignment, bytes)));
  if (!memory_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(memory_.get(), bytes, MADV_HUGEPAGE);
#endif
  capacity_ = floats;
  return memory_.get();
}

ArenaLease::ArenaLease() {
  const std::lock_guard<std::mutex> lock(idle->mutex);
  if (idle->list.empty()) {
    arena_ = std::make_unique<Arena>();
  } else {
    arena_ = std::move(idle->list.back());
    idle->list.pop_back();
  }
}

ArenaLease::~ArenaLease() {
  const std::lock_guard<std::mutex> lock(idle->mutex);
  idle->list.push_back(std::move(arena_));
}

float* BufferPlacer::place(std::ptrdiff_t floats) {
  float* const buffer = memory_ == nullptr ? nullptr : memory_ + used_;
  const std::ptrdiff_t aligned =
      (floats + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  used_ += aligned + kReadMargin;
  return buffer;
}

}  // namespace ghostnet::cpu
