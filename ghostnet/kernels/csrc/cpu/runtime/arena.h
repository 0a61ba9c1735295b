// Memory for the buffers of a call, kept from call to call.
#pragma once

#include <cstddef>
#include <memory>

namespace ghostnet::cpu {

// One piece of memory that grows to the largest size asked for.
class Arena {
 public:
  // Memory for `floats` floats. What an earlier call returned is no longer valid.
  float* reserve(std::ptrdiff_t floats);

  std::unique_ptr<Arena> next;  // in the list of idle arenas

 private:
  struct Free {
    void operator()(float* memory) const;
  };
  std::unique_ptr<float, Free> memory_;
  std::ptrdiff_t capacity_ = 0;
};

// An arena for the duration of a call. Between calls arenas wait in a list, so that a call finds
// its memory mapped and cached.
class ArenaLease {
 public:
  ArenaLease();
  ~ArenaLease();
  ArenaLease(const ArenaLease&) = delete;
  ArenaLease& operator=(const ArenaLease&) = delete;

  Arena& operator*() const { return *arena_; }

 private:
  std::unique_ptr<Arena> arena_;
};

// Places buffers one after the other, each followed by kReadMargin floats. Without memory it only
// measures, so that one function both measures a set of buffers and places it.
class BufferPlacer {
 public:
  explicit BufferPlacer(float* memory) : memory_(memory) {}

  float* place(std::ptrdiff_t floats);
  std::ptrdiff_t floats() const { return used_; }

 private:
  float* memory_;
  std::ptrdiff_t used_ = 0;
};

}  // namespace ghostnet::cpu
