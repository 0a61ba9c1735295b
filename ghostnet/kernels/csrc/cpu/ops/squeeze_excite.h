// The two dense layers of squeeze-excite, from the means of all channels to a gate in [0, 1] for
// each channel. Both compute some of their outputs, `rows`, for every image.
#pragma once

#include "ops/dense.h"
#include "ops/dense_int8.h"
#include "ops/range.h"
#include "simd/vector.h"

namespace ghostnet::cpu {

struct SqueezeExcite {
  Dense reduce;
  Dense expand;
};

template <class PointwiseKernel>
void squeeze(const Dense& reduce, ChannelRows means, ChannelRows squeezed, int images, Range rows,
             ByteRows bytes) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  dense_layer<PointwiseKernel>(reduce, means, squeezed, images, rows, bytes);
  for_each_vector<Lanes>(squeezed, images, rows, [](Floats<Lanes> x) { return relu<Lanes>(x); });
}

template <class PointwiseKernel>
void excite(const Dense& expand, ChannelRows squeezed, ChannelRows gates, int images, Range rows,
            ByteRows bytes) {
  constexpr int Lanes = PointwiseKernel::kLanes;
  dense_layer<PointwiseKernel>(expand, squeezed, gates, images, rows, bytes);
  for_each_vector<Lanes>(gates, images, rows,
                         [](Floats<Lanes> x) { return hard_sigmoid<Lanes>(x); });
}

}  // namespace ghostnet::cpu
