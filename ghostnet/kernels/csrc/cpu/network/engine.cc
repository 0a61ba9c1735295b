#include "network/engine.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>

#include "runtime/thread_pool.h"

namespace ghostnet::cpu {
namespace {

std::atomic<int> chosen_threads{1};
std::atomic<std::size_t> chosen_set{0};

// Arenas wait here for the next call, so that a thread finds its memory mapped and warm.
class ArenaStore {
 public:
  std::unique_ptr<Arena> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) return std::make_unique<Arena>();
    std::unique_ptr<Arena> arena = std::move(idle_.back());
    idle_.pop_back();
    return arena;
  }

  void give_back(std::unique_ptr<Arena> arena) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(arena));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arena>> idle_;
};

ArenaStore& arenas() {
  static ArenaStore* store = new ArenaStore;
  return *store;
}

// Pictures that go through the low maps together in one thread.
constexpr int kGroup = 4;

// A batch on its way through the network.
class Batch {
 public:
  Batch(const Model& model, const Pictures& pictures, Forward forward)
      : model_(model),
        pictures_(pictures),
        forward_(forward),
        one_(model, 1, pictures.height, pictures.width) {}

  // Every picture of `images` by one thread, in groups as far as they go.
  void run_alone(Range images) const {
    const std::ptrdiff_t grouped = images.size() / kGroup * kGroup;
    if (grouped > 0) {
      const Route group(model_, kGroup, pictures_.height, pictures_.width);
      run_alone(group, {images.begin, images.begin + grouped});
    }
    run_alone(one_, {images.begin + grouped, images.end});
  }

  // Each thread takes one piece of the batch after the other, so that one whose processor is wanted
  // elsewhere takes fewer; the pictures that cannot be dealt out evenly all threads do together.
  void run(std::ptrdiff_t images, int threads) const {
    if (threads == 1) return run_alone({0, images});
    const std::ptrdiff_t groups = images / (threads * kGroup) * threads;
    const std::ptrdiff_t pieces = groups + (images - groups * kGroup) / threads * threads;
    std::atomic<std::ptrdiff_t> next{0};
    std::unique_ptr<Arena> arena = arenas().take();
    Workspace space = make_workspace(model_, one_, threads, *arena);
    Barrier barrier(threads);
    const bool ran = ThreadPool::instance().try_run(threads, [&](int rank) {
      for (std::ptrdiff_t i = next++; i < pieces; i = next++) run_alone(piece(i, groups));
      const Worker worker{rank, threads, &barrier};
      for (std::ptrdiff_t i = piece(pieces, groups).begin; i < images; ++i) {
        worker.sync();
        forward_(model_, one_, picture(i), space, worker);
      }
    });
    arenas().give_back(std::move(arena));
    if (!ran) run_alone({0, images});
  }

 private:
  // The pieces are `groups` groups and then single pictures.
  static Range piece(std::ptrdiff_t index, std::ptrdiff_t groups) {
    if (index < groups) return {index * kGroup, (index + 1) * kGroup};
    const std::ptrdiff_t image = groups * (kGroup - 1) + index;
    return {image, image + 1};
  }

  void run_alone(const Route& route, Range images) const {
    if (images.size() == 0) return;
    std::unique_ptr<Arena> arena = arenas().take();
    Workspace space = make_workspace(model_, route, 1, *arena);
    for (std::ptrdiff_t i = images.begin; i < images.end; i += route.group.images()) {
      forward_(model_, route, picture(i), space, {0, 1, nullptr});
    }
    arenas().give_back(std::move(arena));
  }

  Pictures picture(std::ptrdiff_t index) const {
    Pictures one = pictures_;
    one.data += index * 3 * one.height * one.width;
    one.out += index * model_.head.output().out;
    return one;
  }

  const Model& model_;
  const Pictures pictures_;
  const Forward forward_;
  const Route one_;
};

}  // namespace

Settings settings() {
  return {chosen_threads.load(), instruction_sets()[chosen_set.load()]};
}

void set_threads(int threads) { chosen_threads.store(std::max(1, threads)); }

bool set_instruction_set(const char* name) {
  const std::vector<InstructionSet>& sets = instruction_sets();
  const auto found = std::find_if(sets.begin(), sets.end(), [name](const InstructionSet& set) {
    return std::strcmp(set.name, name) == 0;
  });
  if (found == sets.end()) return false;
  chosen_set.store(found - sets.begin());
  return true;
}

void run(const Model& model, const float* pictures, int images, int height, int width, float* out) {
  const Settings now = settings();
  Batch(model, {pictures, height, width, out}, now.instruction_set.forward)
      .run(images, now.threads);
}

}  // namespace ghostnet::cpu
