#include "network/inference.h"

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>

#include "network/context.h"
#include "network/model.h"
#include "network/schedule.h"
#include "network/schedule_cache.h"
#include "network/workspace.h"
#include "ops/range.h"
#include "runtime/arena.h"
#include "runtime/settings.h"
#include "runtime/team_size.h"
#include "runtime/thread_pool.h"
#include "runtime/thread_team.h"

namespace ghostnet::cpu {
namespace {

// Images that one thread takes through the low maps together.
constexpr int kGroup = 4;

// How often an idle thread checks for the next call before it sleeps: at least 0.2 ms, about the
// time that MindSpore takes from one call to the next. Ten times as many did not shorten calls; a
// twentieth lengthened them by 4 %.
constexpr int kIdleSpins = 20000;

// A batch cut into pieces for single threads: first groups of kGroup images, then single images.
// What remains cannot be dealt out evenly and is left to the whole team.
class Pieces {
 public:
  Pieces(std::ptrdiff_t images, int threads)
      : groups_(images / (threads * kGroup) * threads),
        count_(groups_ + (images - groups_ * kGroup) / threads * threads) {}

  std::ptrdiff_t count() const { return count_; }
  std::ptrdiff_t first_left() const { return images_of(count_).begin; }

  Range images_of(std::ptrdiff_t piece) const {
    if (piece < groups_) return {piece * kGroup, (piece + 1) * kGroup};
    const std::ptrdiff_t image = groups_ * (kGroup - 1) + piece;
    return {image, image + 1};
  }

 private:
  const std::ptrdiff_t groups_;
  const std::ptrdiff_t count_;
};

// What `body` throws, or null.
template <class Body>
std::exception_ptr exception_of(Body body) {
  try {
    body();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

class BatchRunner {
 public:
  BatchRunner(const Model& model, const ImageBatch& batch, Forward forward)
      : model_(model),
        batch_(batch),
        forward_(forward),
        schedule_(find_schedule(model, 1, batch.height, batch.width)) {}

  void run(std::ptrdiff_t images, int threads) const {
    if (threads == 1) return run_alone({0, images});
    if (images == 1) return run_one(threads);
    const ThreadPool::Lease lease(threads);
    lease.threads() == 1 ? run_alone({0, images}) : run_in_team(images, lease);
  }

 private:
  void run_one(int threads) const {
    TeamSize& team = TeamSize::instance();
    const CallTimer timer;
    const ThreadPool::Lease lease(team.for_call(threads));
    if (lease.threads() == 1) return run_alone({0, 1});
    run_in_team(1, lease);
    team.report(threads, lease.threads(), timer.read());
  }

  // Each thread takes one piece after the other, so that a thread whose processor is busy elsewhere
  // takes fewer. The team then computes the remaining images one by one.
  void run_in_team(std::ptrdiff_t images, const ThreadPool::Lease& lease) const {
    const int threads = lease.threads();
    const Pieces pieces(images, threads);
    std::atomic<std::ptrdiff_t> next{0};
    const ArenaLease arena;
    Workspace space = make_workspace(model_, *schedule_, threads, *arena);
    Barrier barrier(threads);
    lease.run(kIdleSpins, [&](int rank) {
      const std::exception_ptr failure = exception_of([&] {
        for (std::ptrdiff_t i = next++; i < pieces.count(); i = next++) {
          run_alone(pieces.images_of(i));
        }
      });
      // A thread that failed takes part too, since the others wait for it at the barrier.
      const ForwardContext context{model_, *schedule_, space, {rank, threads, &barrier}};
      for (std::ptrdiff_t i = pieces.first_left(); i < images; ++i) {
        context.member.sync();
        forward_(context, from_image(i));
      }
      if (failure) std::rethrow_exception(failure);
    });
  }

  // Computes some images with one thread, in groups as far as possible.
  void run_alone(Range images) const {
    const std::ptrdiff_t grouped = images.size() / kGroup * kGroup;
    if (grouped > 0) {
      const auto group = find_schedule(model_, kGroup, batch_.height, batch_.width);
      run_alone(*group, {images.begin, images.begin + grouped});
    }
    run_alone(*schedule_, {images.begin + grouped, images.end});
  }

  void run_alone(const Schedule& schedule, Range images) const {
    if (images.size() == 0) return;
    const ArenaLease arena;
    Workspace space = make_workspace(model_, schedule, 1, *arena);
    const ForwardContext context{model_, schedule, space, {0, 1, nullptr}};
    for (std::ptrdiff_t i = images.begin; i < images.end; i += schedule.images()) {
      forward_(context, from_image(i));
    }
  }

  // The batch from one image on.
  ImageBatch from_image(std::ptrdiff_t index) const {
    return {batch_.pixels + index * batch_.image_size(), batch_.height, batch_.width,
            batch_.out + index * model_.head.outputs()};
  }

  const Model& model_;
  const ImageBatch batch_;
  const Forward forward_;
  const std::shared_ptr<const Schedule> schedule_;  // of one image
};

}  // namespace

void run(const Model& model, const ImageBatch& batch, std::int64_t images) {
  const Settings now = settings();
  const Forward forward = forward_for(now.instruction_set, model.precision);
  if (forward == nullptr) throw MissingKernels();
  BatchRunner(model, batch, forward).run(images, now.threads);
}

}  // namespace ghostnet::cpu
