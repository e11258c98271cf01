#include "team.h"

#include <algorithm>

namespace chattts {
namespace {

// Some tens of microseconds: longer than a phase's last items take, shorter than a time slice.
constexpr int kSpins = 2000;
constexpr int kClaims = 8;        // of a share, where it has items enough
constexpr int kClosed = 1 << 30;  // no thread may come in any more

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

Team::Team(int threads, bool spinning)
    : size_(threads),
      spins_(spinning ? kSpins : 0),
      shares_(static_cast<size_t>(threads)),
      inside_(kClosed) {
  for (int thread = 1; thread < size_; ++thread) {
    threads_.emplace_back([this, thread] { follow(thread); });
  }
}

Team::~Team() {
  stop_ = true;
  phase_.fetch_add(1, std::memory_order_release);
  phase_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::run(const std::vector<Phase>& phases) {
  if (size_ == 1) {
    for (const Phase& phase : phases) {
      if (phase.begin) phase.begin(0, 0);
      for (int item = 0; item < phase.items; ++item) phase.work(0, item);
    }
    return;
  }
  phases_ = &phases;
  first_ = phase_.load(std::memory_order_relaxed) + 1;
  inside_.store(0, std::memory_order_release);
  begin_phase(first_);
  take_part(0);
  // Nobody comes in any more; who is inside is on the way out.
  int inside = inside_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  for (int spin = 0; inside != kClosed; ++spin) {
    spin < spins_ ? pause() : inside_.wait(inside, std::memory_order_acquire);
    inside = inside_.load(std::memory_order_acquire);
  }
}

void Team::follow(int thread) {
  uint32_t seen = 0;
  for (;;) {
    phase_.wait(seen, std::memory_order_acquire);
    seen = phase_.load(std::memory_order_acquire);
    if (stop_) return;
    if (!join()) continue;
    seen = take_part(thread);
    leave();
  }
}

bool Team::join() {
  int inside = inside_.load(std::memory_order_relaxed);
  while (inside < kClosed) {
    if (inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void Team::leave() {
  if (inside_.fetch_sub(1, std::memory_order_acq_rel) > kClosed) inside_.notify_all();
}

uint32_t Team::take_part(int thread) {
  for (;;) {
    const uint32_t number = phase_.load(std::memory_order_acquire);
    const size_t index = number - first_;
    if (index >= phases_->size()) return number;
    share_out((*phases_)[index], number, thread);
    if (moves_on_from(number)) continue;
    if (thread != 0) return number;
    phase_.wait(number, std::memory_order_acquire);
  }
}

void Team::share_out(const Phase& phase, uint32_t number, int thread) {
  int finished = 0;
  for (int i = 0; i < size_; ++i) {
    const int owner = (thread + i) % size_;
    const int start = start_of(phase, owner);
    const auto count = static_cast<uint32_t>(start_of(phase, owner + 1) - start);
    const uint32_t grain = std::max(1U, count / kClaims);
    std::atomic<uint64_t>& claimed = shares_[static_cast<size_t>(owner)].claimed;
    uint64_t found = claimed.load(std::memory_order_acquire);
    while (found >> 32 == number && static_cast<uint32_t>(found) < count) {
      if (!claimed.compare_exchange_weak(found, found + grain, std::memory_order_acquire)) continue;
      const auto first = static_cast<uint32_t>(found);
      if (finished == 0 && phase.begin) phase.begin(thread, start + static_cast<int>(first));
      const uint32_t last = std::min(first + grain, count);
      for (uint32_t item = first; item < last; ++item) {
        phase.work(thread, start + static_cast<int>(item));
      }
      finished += static_cast<int>(last - first);
      found = claimed.load(std::memory_order_acquire);
    }
  }
  if (finished && done_.fetch_add(finished, std::memory_order_acq_rel) + finished == phase.items) {
    begin_phase(number + 1);
  }
}

void Team::begin_phase(uint32_t number) {
  done_.store(0, std::memory_order_relaxed);
  for (Share& share : shares_) {
    share.claimed.store(uint64_t{number} << 32, std::memory_order_release);
  }
  phase_.store(number, std::memory_order_release);
  phase_.notify_all();
}

bool Team::moves_on_from(uint32_t number) const {
  for (int spin = 0; spin < spins_; ++spin) {
    if (phase_.load(std::memory_order_acquire) != number) return true;
    pause();
  }
  return phase_.load(std::memory_order_acquire) != number;
}

}  // namespace chattts
