#include "team.h"

namespace chattts {
namespace {

// Some tens of microseconds: longer than a phase's last items take, shorter than a time slice.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

Team::Team(int threads, bool spinning) : size_(threads), spins_(spinning ? kSpins : 0) {
  for (int thread = 1; thread < size_; ++thread) {
    threads_.emplace_back([this, thread] { work(thread); });
  }
}

Team::~Team() {
  stop_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::start(Function function, void* context) {
  if (size_ > 1) {
    function_ = function;
    context_ = context;
    job_.fetch_add(1, std::memory_order_release);
    job_.notify_all();
  }
  function(context, 0);
  // A job's last phase may have ended while others are still on their way out of it.
  if (size_ > 1) wait_for_all(phase_.load(std::memory_order_relaxed));
}

void Team::work(int thread) {
  for (uint32_t done = 0;; ++done) {
    job_.wait(done, std::memory_order_acquire);
    if (stop_) return;
    function_(context_, thread);
    wait_for_all(phase_.load(std::memory_order_relaxed));
  }
}

void Team::wait_for_all(uint32_t phase) {
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 < size_) {
    wait(phase_, phase);
    return;
  }
  waiting_.store(0, std::memory_order_relaxed);
  claimed_[phase % 2].store(0, std::memory_order_relaxed);  // next used after another barrier
  phase_.store(phase + 1, std::memory_order_release);
  phase_.notify_all();
}

void Team::wait(std::atomic<uint32_t>& value, uint32_t old) const {
  for (int spin = 0; spin < spins_; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace chattts
