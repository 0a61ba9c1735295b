#include "simd/instruction_set.h"
#include "ops/pointwise_amx.h"

namespace ghostnet::cpu {
namespace {

// Beyond this, a float32 is near what a bfloat16 cannot hold.
constexpr float kLargest = 1e30F;

// Whether the parts that a float32 is split into add up to it: not so for one that is not finite.
bool can_be_split(const float* values, std::ptrdiff_t count) {
  const Floats<16> largest = broadcast<16>(kLargest);
  const auto fit = [&](Floats<16> x) { return (x < largest) & (x > -largest); };
  Bits<16> fits = fit(load_first<16>(values, count));
  for (std::ptrdiff_t i = count % 16; i < count; i += 16) fits &= fit(load<16>(values + i));
  return _mm512_reduce_and_epi32((__m512i)fits) != 0;
}

}  // namespace

void forward_amx(const Model& model, const Route& route, const Pictures& pictures,
                 Workspace& space, Worker worker) {
  const std::ptrdiff_t size =
      std::ptrdiff_t{route.group.images()} * 3 * pictures.height * pictures.width;
  if (!can_be_split(pictures.data, size)) {
    return forward<VectorProduct<16>>(model, route, pictures, space, worker);
  }
  const amx::Session session;
  forward<TileProduct>(model, route, pictures, space, worker);
}

}  // namespace ghostnet::cpu
