#include "runtime/arena.h"

#include <mutex>
#include <new>
#include <utility>

#include "ops/planes.h"
#include "runtime/per_process.h"
#include "system/system.h"

namespace ghostnet::cpu {
namespace {

// The size of a huge page. With small pages, address translation costs measurable time.
constexpr std::align_val_t kAlignment{2 * 1024 * 1024};

// Buffers begin at multiples of so many floats.
constexpr std::ptrdiff_t kBufferAlignment = 64;

struct IdleArenas {
  std::mutex mutex;
  std::unique_ptr<Arena> first;
};

const PerProcess<IdleArenas> idle;

}  // namespace

void Arena::Free::operator()(float* memory) const { ::operator delete(memory, kAlignment); }

float* Arena::reserve(std::ptrdiff_t floats) {
  if (floats <= capacity_) return memory_.get();
  memory_.reset();
  capacity_ = 0;
  constexpr auto kPage = static_cast<std::size_t>(kAlignment);
  const std::size_t bytes = (floats * sizeof(float) + kPage - 1) / kPage * kPage;
  memory_.reset(static_cast<float*>(::operator new(bytes, kAlignment)));
  system::use_huge_pages(memory_.get(), bytes);
  capacity_ = floats;
  return memory_.get();
}

ArenaLease::ArenaLease() {
  const std::lock_guard<std::mutex> lock(idle->mutex);
  arena_ = idle->first ? std::move(idle->first) : std::make_unique<Arena>();
  idle->first = std::move(arena_->next);
}

// Allocates nothing: a list that had to grow could throw.
ArenaLease::~ArenaLease() {
  const std::lock_guard<std::mutex> lock(idle->mutex);
  arena_->next = std::move(idle->first);
  idle->first = std::move(arena_);
}

float* BufferPlacer::place(std::ptrdiff_t floats) {
  float* const buffer = memory_ == nullptr ? nullptr : memory_ + used_;
  const std::ptrdiff_t aligned =
      (floats + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
  used_ += aligned + kReadMargin;
  return buffer;
}

}  // namespace ghostnet::cpu
