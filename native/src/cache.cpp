#include "cache.h"

#include <cstring>

namespace chattts {

Cache::Cache(const CacheShape& shape) : shape_(shape) {
  const size_t heads = static_cast<size_t>(shape.layers) * static_cast<size_t>(shape.slots) *
                       static_cast<size_t>(shape.heads);
  pages_ = Pages(2 * heads * head_bytes(), Pages::Kind::kSmall);
}

size_t Cache::head_bytes() const {
  return static_cast<size_t>(shape_.length) * static_cast<size_t>(shape_.width) * shape_.element;
}

Head Cache::head(int layer, int slot, int head) const {
  const int index = (layer * shape_.slots + slot) * shape_.heads + head;
  Head result;
  result.keys = pages_.data() + 2 * static_cast<size_t>(index) * head_bytes();
  result.values = static_cast<unsigned char*>(result.keys) + head_bytes();
  result.width = shape_.width;
  return result;
}

void Cache::move(int source, int destination, int length) {
  const size_t position = static_cast<size_t>(shape_.width) * shape_.element;
  const size_t groups = static_cast<size_t>((length + kTile - 1) / kTile);
  for (int layer = 0; layer < shape_.layers; ++layer) {
    for (int h = 0; h < shape_.heads; ++h) {
      const Head from = head(layer, source, h);
      const Head to = head(layer, destination, h);
      std::memcpy(to.keys, from.keys, groups * kTile * position);
      std::memcpy(to.values, from.values, static_cast<size_t>(length) * position);
    }
  }
}

}  // namespace chattts
