// The memory that one team of threads works in.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "simd/prefetch.h"
#include "ops/dense.h"
#include "network/geometry.h"
#include "network/model.h"

namespace ghostnet::cpu {

// Hands out buffers from one piece of memory that grows to what is asked for and is kept. Between
// them are kGuard floats, which a pack may read.
class Arena {
 public:
  // Makes room for buffers of these sizes, in floats, and lays them out. `around` more may be read
  // before the first and after the last.
  std::vector<float*> lay_out(const std::vector<std::ptrdiff_t>& sizes, std::ptrdiff_t around);

 private:
  struct Free {
    void operator()(float* memory) const;
  };
  std::unique_ptr<float, Free> memory_;
  std::ptrdiff_t capacity_ = 0;
};

// What one thread needs for itself.
struct ThreadSpace {
  float* phases;            // of a few rows of the picture
  float* maps[2];           // its rows of the maps, where a team shares them by rows
  float* expanded;          // its rows of the expanded map
  float* shortcut;          // its rows of the shortcut
  float* product;           // what the block's input is multiplied from
  float* shortcut_product;  // and what the shortcut's is
  float* block_primary;     // planes of a block of channels, before the cheap operation
  float* cheap;             // one of these planes, after it
  float* block_shortcut;    // planes of a block of channels of either half of the shortcut
  Vectors sums;             // of each channel of the pictures, over the rows of this thread
  Vectors means;            // of each channel of the pictures
  Ahead ahead;              // the weights that it will read
};

struct Workspace {
  float* maps[2];    // input and output of a block, in turn
  float* gathered;   // maps of all pictures of a group, where they come together
  float* expanded;   // output of the first Ghost module, at the block's output size
  float* shortcut;   // output of the shortcut's depthwise convolution
  Vectors reduced;   // inside squeeze-excite
  Vectors gates;     // of squeeze-excite
  Vectors pooled;    // means of the last feature map
  Vectors features;  // what the classifier reads
  std::vector<ThreadSpace> threads;
};

// For a route and a team of `threads`, in the given arena.
Workspace make_workspace(const Model& model, const Route& route, int threads, Arena& arena);

}  // namespace ghostnet::cpu
