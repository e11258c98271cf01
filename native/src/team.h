// Threads that work through a step together.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace chattts {

// What threads share out among each other: every item is worked on once, in any order.
struct Phase {
  int items;  // 1 or more
  std::function<void(int thread, int item)> work;
  // By each thread before its first item, if any
  std::function<void(int thread, int first)> begin = nullptr;
};

// A job is a list of phases, each of which begins when all items of the one before are done. Nobody
// is waited for but who has begun an item: a thread that is asleep, or whose core is taken away,
// comes in at whatever phase it finds, and holds up only what it has begun.  Each thread claims
// from its own share, then from what is left of the others'.  Who finds nothing to do spins for a
// moment and then sleeps; between jobs nobody spins.  One job at a time.
class Team {
 public:
  Team(int threads, bool spinning);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }
  // The caller is thread 0; returns when all is done.
  void run(const std::vector<Phase>& phases);

 private:
  // How much of a thread's share is claimed, with the number of the phase in the upper half.
  struct alignas(64) Share {
    std::atomic<uint64_t> claimed{0};
  };

  void follow(int thread);
  bool join();
  void leave();
  // Work until the job ends or, but for thread 0, nothing comes for a while; returns the number of
  // the phase that it leaves.
  uint32_t take_part(int thread);
  void share_out(const Phase& phase, uint32_t number, int thread);
  void begin_phase(uint32_t number);
  // Whether another phase than `number` began while this spun.
  bool moves_on_from(uint32_t number) const;
  int start_of(const Phase& phase, int thread) const {
    return static_cast<int>(int64_t{phase.items} * thread / size_);
  }

  const int size_;
  const int spins_;
  std::vector<Share> shares_;
  std::vector<std::thread> threads_;
  const std::vector<Phase>* phases_ = nullptr;
  uint32_t first_ = 0;  // number of the job's first phase
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint32_t> phase_{0};  // counts the phases of all jobs
  alignas(64) std::atomic<int> done_{0};        // items of this phase
  alignas(64) std::atomic<int> inside_;  // threads besides 0 in the job, or that it is closed
};

}  // namespace chattts
