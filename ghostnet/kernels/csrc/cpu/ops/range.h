// Ranges of rows, channels or positions, and how output channels are cut into tiles.
#pragma once

#include <cstddef>

namespace ghostnet::cpu {

// begin, …, end - 1
struct Range {
  std::ptrdiff_t begin;
  std::ptrdiff_t end;

  std::ptrdiff_t size() const { return end - begin; }
};

// `channels` cut into tiles of at most `max_size`, as equal as possible. More than two tiles are an
// even number of them, which two threads share evenly.
struct ChannelTiles {
  int channels;
  int max_size;

  int count() const {
    const int fewest = (channels + max_size - 1) / max_size;
    return fewest > 2 ? fewest + fewest % 2 : fewest;
  }

  // The channels of one tile, and of consecutive tiles.
  Range tile(std::ptrdiff_t index) const { return {first(index), first(index + 1)}; }
  Range channels_of(Range tiles) const { return {first(tiles.begin), first(tiles.end)}; }

 private:
  std::ptrdiff_t first(std::ptrdiff_t tile) const { return channels * tile / count(); }
};

}  // namespace ghostnet::cpu
