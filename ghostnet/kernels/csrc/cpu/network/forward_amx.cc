#include <cstddef>

#include "network/context.h"
#include "network/dispatch.h"
#include "network/forward.h"
#include "ops/pointwise.h"
#include "ops/pointwise_amx.h"
#include "simd/amx.h"
#include "simd/vector.h"

namespace ghostnet::cpu {
namespace {

// A safe bound on values that bfloat16 can hold, which overflows near 3.4e38.
constexpr float kMaxMagnitude = 1e30F;

// Whether each value is the sum of the two bfloat16 that it is split into. The parts of a value
// that is not finite do not add up to it.
bool can_be_split(const float* values, std::ptrdiff_t count) {
  const Floats<16> largest = broadcast<16>(kMaxMagnitude);
  const auto fit = [&](Floats<16> x) { return (x < largest) & (x > -largest); };
  Bits<16> fits = fit(load_first<16>(values, count));
  for (std::ptrdiff_t i = count % 16; i < count; i += 16) fits &= fit(load<16>(values + i));
  return _mm512_reduce_and_epi32((__m512i)fits) != 0;
}

}  // namespace

void forward_amx(const ForwardContext& context, const ImageBatch& batch) {
  const std::ptrdiff_t size = context.schedule.images() * batch.image_size();
  if (!can_be_split(batch.pixels, size)) return forward<VectorPointwise<16>>(context, batch);
  const amx::Session session;
  forward<AmxPointwise>(context, batch);
}

}  // namespace ghostnet::cpu
