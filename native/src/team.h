// Threads that work through a step together.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace chattts {

// A job is one function that every thread of the team runs; inside it, `parallel` shares out items
// and ends with a barrier.  Items are claimed as threads come free, so that a thread whose core is
// taken away holds up only what it has begun.  Who waits spins for a moment and then sleeps;
// between jobs nobody spins.
class Team {
 public:
  Team(int threads, bool spinning);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Run job(thread) on every thread; jobs of several callers take turns.
  template <class Job>
  void run(Job job) {
    const std::lock_guard<std::mutex> turn(turn_);
    start([](void* context, int thread) { (*static_cast<Job*>(context))(thread); }, &job);
  }

  // Inside a job, called by all threads alike: work(item) for each item, then wait for the others.
  template <class Work>
  void parallel(int items, Work work) {
    if (size_ == 1) {
      for (int item = 0; item < items; ++item) work(item);
      return;
    }
    const uint32_t phase = phase_.load(std::memory_order_relaxed);  // stays until this thread waits
    std::atomic<int>& claimed = claimed_[phase % 2];
    const int share = items / (kClaims * size_);
    const int grain = share > 1 ? share : 1;
    for (;;) {
      const int first = claimed.fetch_add(grain, std::memory_order_relaxed);
      if (first >= items) break;
      const int last = first + grain < items ? first + grain : items;
      for (int item = first; item < last; ++item) work(item);
    }
    wait_for_all(phase);
  }

 private:
  static constexpr int kClaims = 6;  // of each thread, where there are items enough
  using Function = void (*)(void* context, int thread);

  void start(Function function, void* context);
  void work(int thread);
  void wait_for_all(uint32_t phase);
  // Until `value` is no longer `old`.
  void wait(std::atomic<uint32_t>& value, uint32_t old) const;

  const int size_;
  const int spins_;
  std::vector<std::thread> threads_;
  std::mutex turn_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> job_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  alignas(64) std::atomic<int> waiting_{0};
  alignas(64) std::atomic<int> claimed_[2] = {0, 0};
};

}  // namespace chattts
