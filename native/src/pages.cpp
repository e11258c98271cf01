#include "pages.h"

#include <sys/mman.h>

#include <new>

namespace chattts {

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

Pages::Pages(size_t bytes, Kind kind) : size_(bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  if (kind == Kind::kHuge) size_ = (size_ + kHugePage - 1) / kHugePage * kHugePage;
  void* place = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<unsigned char*>(place);
#ifdef MADV_HUGEPAGE
  madvise(place, size_, kind == Kind::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
}

Pages::~Pages() {
  if (data_) munmap(data_, size_);
}

}  // namespace chattts
