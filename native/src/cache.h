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

// What a step reads of a sequence lies together, 128 positions of all heads after the other, so
// that huge pages serve, and a cache for 4096 positions still costs only what its sequences fill.
class Cache {
 public:
  explicit Cache(const CacheShape& shape);

  const CacheShape& shape() const { return shape_; }
  Head head(int layer, int slot, int head) const;
  // Copy the first `length` positions of one slot over another.
  void move(int source, int destination, int length);

 private:
  size_t segments(int length) const;
  unsigned char* slot(int index) const;

  CacheShape shape_;
  int segment_;           // positions
  size_t head_bytes_;     // keys, or values, of one head in one segment
  size_t segment_bytes_;  // all of one slot in one segment
  Pages pages_;
};

}  // namespace chattts
