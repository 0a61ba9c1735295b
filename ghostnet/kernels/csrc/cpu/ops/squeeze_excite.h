// The two dense layers of squeeze-excite, from the means of all channels to a gate in [0, 1] for
// each channel. Both compute some of their outputs, `rows`, for every image.
#pragma once

#include "ops/dense.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

struct SqueezeExcite {
  Dense reduce;
  Dense expand;
};

template <int Lanes>
void squeeze(const Dense& reduce, ChannelRows means, ChannelRows squeezed, int images, Range rows) {
  dense<Lanes>(reduce, means, squeezed, images, rows);
  for_each_vector<Lanes>(squeezed, images, rows, [](Floats<Lanes> x) { return relu<Lanes>(x); });
}

template <int Lanes>
void excite(const Dense& expand, ChannelRows squeezed, ChannelRows gates, int images, Range rows) {
  dense<Lanes>(expand, squeezed, gates, images, rows);
  for_each_vector<Lanes>(gates, images, rows,
                         [](Floats<Lanes> x) { return hard_sigmoid<Lanes>(x); });
}

}  // namespace ghostnet::cpu
