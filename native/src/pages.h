// Memory straight from the system: zeroed, committed when it is first written.
#pragma once

#include <cstddef>
#include <utility>

namespace chattts {

class Pages {
 public:
  enum class Kind { kHuge, kSmall };  // asked for, not promised

  Pages() = default;
  // Throws std::bad_alloc where the system refuses.
  Pages(size_t bytes, Kind kind);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  Pages(Pages&& other) noexcept { swap(other); }
  Pages& operator=(Pages&& other) noexcept {
    swap(other);
    return *this;
  }

  unsigned char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void swap(Pages& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  unsigned char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace chattts
