// Threads that work through a step together.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace chattts {

// A job is one function that every thread of the team runs; inside it, `parallel` shares out items
// and ends with a barrier.  Each thread claims from its own share, then from what is left of the
// others', so that a thread whose core is taken away holds up only what it has begun.  Who waits
// spins for a moment and then sleeps; between jobs nobody spins.
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
  void parallel(int thread, int items, Work work) {
    if (size_ == 1) {
      for (int item = 0; item < items; ++item) work(item);
      return;
    }
    const uint32_t phase = phase_.load(std::memory_order_relaxed);  // stays until this thread waits
    for (int i = 0; i < size_; ++i) {
      const int owner = (thread + i) % size_;
      const int start = share(items, owner);
      const int count = share(items, owner + 1) - start;
      const int grain = count > kClaims ? count / kClaims : 1;
      std::atomic<int>& claimed = claims_[static_cast<size_t>(owner)].of[phase % 2];
      while (claimed.load(std::memory_order_relaxed) < count) {
        const int first = claimed.fetch_add(grain, std::memory_order_relaxed);
        const int last = first + grain < count ? first + grain : count;
        for (int item = first; item < last; ++item) work(start + item);
      }
    }
    wait_for_all(thread);
  }

 private:
  static constexpr int kClaims = 8;  // of a share, where it has items enough
  struct alignas(64) Claims {
    std::atomic<int> of[2] = {0, 0};  // items taken of a thread's share, by parity of the phase
  };
  using Function = void (*)(void* context, int thread);

  int share(int items, int thread) const {
    return static_cast<int>(int64_t{items} * thread / size_);
  }
  void start(Function function, void* context);
  void work(int thread);
  void wait_for_all(int thread);
  // Until `value` is no longer `old`.
  void wait(std::atomic<uint32_t>& value, uint32_t old) const;

  const int size_;
  const int spins_;
  std::vector<Claims> claims_;
  std::vector<std::thread> threads_;
  std::mutex turn_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> job_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  alignas(64) std::atomic<int> waiting_{0};
};

}  // namespace chattts
