// Keys and values of several sequences; attention.h has the order of their elements.
#pragma once

#include <cstddef>

#include "kernels.h"
#include "pages.h"

namespace chattts {

struct CacheShape {
  int layers = 0;
  int slots = 0;
  int heads = 0;
  int length = 0;  // positions of a sequence, a multiple of 16
  int width = 0;
  size_t element = 1;  // bytes: 1 for INT8, 4 for float
};

// Small pages, which the system commits one by one: a cache for 4096 positions costs only what its
// sequences fill.
class Cache {
 public:
  explicit Cache(const CacheShape& shape);

  const CacheShape& shape() const { return shape_; }
  Head head(int layer, int slot, int head) const;
  // Copy the first `length` positions of one slot over another.
  void move(int source, int destination, int length);

 private:
  size_t head_bytes() const;

  CacheShape shape_;
  Pages pages_;
};

}  // namespace chattts
