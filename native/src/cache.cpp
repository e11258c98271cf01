#include "cache.h"

#include <cstring>

namespace chattts {

Cache::Cache(const CacheShape& shape)
    : shape_(shape),
      segment_(512 / static_cast<int>(shape.element)),
      head_bytes_(512 * static_cast<size_t>(shape.width)),
      segment_bytes_(2 * head_bytes_ * static_cast<size_t>(shape.layers) *
                     static_cast<size_t>(shape.heads)),
      pages_(static_cast<size_t>(shape.slots) * segments(shape.length) * segment_bytes_,
             Pages::Kind::kHuge) {}

size_t Cache::segments(int length) const {
  return static_cast<size_t>((length + segment_ - 1) / segment_);
}

unsigned char* Cache::slot(int index) const {
  return pages_.data() + static_cast<size_t>(index) * segments(shape_.length) * segment_bytes_;
}

Head Cache::head(int layer, int slot, int head) const {
  const size_t index = static_cast<size_t>(layer * shape_.heads + head);
  Head result;
  result.keys = this->slot(slot) + 2 * index * head_bytes_;
  result.values = static_cast<unsigned char*>(result.keys) + head_bytes_;
  result.width = shape_.width;
  result.segment = segment_;
  result.stride = segment_bytes_;
  return result;
}

void Cache::move(int source, int destination, int length) {
  std::memcpy(slot(destination), slot(source), segments(length) * segment_bytes_);
}

}  // namespace chattts
