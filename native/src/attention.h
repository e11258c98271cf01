// Attention of one query over the cache of one head, for any vectors V.
//
// Order of a head's elements in a segment, positions in groups of 16:
//   INT8 keys    [group][width / 4][16][4], stored as unsigned with 128 added
//   float keys   [group][width][16]
//   values       [position][width]
// so that scores of 16 positions are 16 lanes, and a value's channels lie side by side.
#pragma once

#include "elementwise.h"

namespace chattts {

inline constexpr int kWidest = 256;  // channels of a head

inline const uint8_t* segment(const void* first, const Head& head, int position) {
  return static_cast<const uint8_t*>(first) +
         head.stride * static_cast<size_t>(position / head.segment);
}

// The segment of keys, or values, with the positions from `from` on, and what is read after it:
// all keys, then all values, then, most likely, the next head's keys, which lie behind.
struct Span {
  const uint8_t* start;
  const uint8_t* end;
  int last;  // position behind it
  ptrdiff_t gap;

  Span(const Head& head, bool values, int from, int length, size_t element) {
    const size_t row = static_cast<size_t>(head.width) * element;
    const void* first = values ? head.values : head.keys;
    last = from + head.segment < length ? from + head.segment : length;
    start = segment(first, head, from);
    end = start + static_cast<size_t>((last - from + kTile - 1) / kTile * kTile) * row;
    const uint8_t* behind = static_cast<const uint8_t*>(head.values) +
                            (values ? static_cast<size_t>(head.segment) * row : 0);
    gap = (last < length ? segment(first, head, last) : behind) - end;
  }
  void prefetch(const uint8_t* p) const {
    p += kAhead;
    __builtin_prefetch(p < end ? p : p + gap);
  }
};

template <class V>
typename V::F rounded_over(const float* x, const float* scale) {
  const typename V::F limit = V::set(127.0F);
  const typename V::F scaled = V::div(V::load(x), V::load(scale));
  return V::max(V::min(scaled, limit), V::sub(V::set(0), limit));
}

template <class V>
void store(const Head& head, int position, const float* key, const float* value) {
  const size_t width = static_cast<size_t>(head.width);
  const size_t lane = static_cast<size_t>(position % kTile);
  const size_t place = static_cast<size_t>(position % head.segment) * width;
  const size_t group = place - lane * width;
  const size_t start = head.stride * static_cast<size_t>(position / head.segment);
  uint8_t* key_start = static_cast<uint8_t*>(head.keys) + start;
  uint8_t* value_start = static_cast<uint8_t*>(head.values) + start;
  if (!head.key_scales) {
    float* keys = reinterpret_cast<float*>(key_start) + group;
    for (size_t i = 0; i < width; ++i) keys[i * kTile + lane] = key[i];
    __builtin_memcpy(reinterpret_cast<float*>(value_start) + place, value, width * sizeof(float));
    return;
  }
  uint8_t rounded[kWidest];
  uint8_t* values = value_start + place;
  for (int i = 0; i < head.width; i += V::kLanes) {
    const typename V::I k = V::round(rounded_over<V>(key + i, head.key_scales + i));
    V::store_bytes(rounded + i, V::addi(k, V::seti(128)));
    V::store_bytes(values + i, V::round(rounded_over<V>(value + i, head.value_scales + i)));
  }
  uint8_t* keys = key_start + group + 4 * lane;
  for (size_t i = 0; i < width; i += 4) __builtin_memcpy(keys + i * kTile, rounded + i, 4);
}

template <class V>
void scores_float(const Head& head, int length, const float* query, float* scores) {
  for (int t = 0; t < length;) {
    const Span span(head, false, t, length, sizeof(float));
    const float* keys = reinterpret_cast<const float*>(span.start);
    for (; t < span.last; t += kTile) {
      Wide<V> sum(0);
      for (int i = 0; i < head.width; ++i, keys += kTile) {
        span.prefetch(reinterpret_cast<const uint8_t*>(keys));
        for (int p = 0; p < Wide<V>::kParts; ++p) {
          sum.part[p] = V::fma(V::load(keys + p * V::kLanes), V::set(query[i]), sum.part[p]);
        }
      }
      for (int p = 0; p < Wide<V>::kParts; ++p) V::store(scores + t + p * V::kLanes, sum.part[p]);
    }
  }
}

// The query, times the keys' scales, as two INT8 numbers a channel: 128 * high + low.
template <class V>
struct RoundedQuery {
  uint8_t high[kWidest];
  uint8_t low[kWidest];
  int32_t high_sum = 0;
  int32_t low_sum = 0;
  float scale;

  RoundedQuery(const Head& head, const float* query) {
    float scaled[kWidest];
    Wide<V> largest(0);
    Wide<V> check(0);
    for (int i = 0; i < head.width; i += kTile) {
      for (int p = 0; p < Wide<V>::kParts; ++p) {
        const int at = i + p * V::kLanes;
        const typename V::F value = V::mul(V::load(query + at), V::load(head.key_scales + at));
        V::store(scaled + at, value);
        largest.part[p] = V::max(V::abs(value), largest.part[p]);
        check.part[p] = V::fma(value, V::set(0), check.part[p]);
      }
    }
    constexpr float kMost = 127 * 128;
    const float most = largest.largest();
    const typename V::F inverse = V::set(most > 0 ? kMost / most : 0.0F);
    scale = most / kMost + check.sum();  // NaN where the query is not finite
    typename V::I high_total = V::seti(0);
    typename V::I low_total = V::seti(0);
    for (int i = 0; i < head.width; i += V::kLanes) {
      typename V::F whole = V::mul(V::load(scaled + i), inverse);
      whole = V::max(V::min(whole, V::set(kMost)), V::set(-kMost));
      const typename V::I number = V::round(whole);
      const typename V::I upper = V::round(V::mul(V::to_float(number), V::set(1.0F / 128)));
      const typename V::I lower = V::subi(number, V::muli(upper, V::seti(128)));
      V::store_bytes(high + i, upper);
      V::store_bytes(low + i, lower);
      high_total = V::addi(high_total, upper);
      low_total = V::addi(low_total, lower);
    }
    int32_t lanes[V::kLanes];
    V::storei(lanes, high_total);
    for (const int32_t lane : lanes) high_sum += lane;
    V::storei(lanes, low_total);
    for (const int32_t lane : lanes) low_sum += lane;
  }
};

template <class V>
void scores_int8(const Head& head, int length, const float* query, float* scores) {
  constexpr int S = Wide<V>::kParts;
  const RoundedQuery<V> q(head, query);
  // Keys are stored with 128 added, of which dot_weights takes off kWeightOffset.
  constexpr int32_t kLeft = 128 - V::kWeightOffset;
  const typename V::I high_shift = V::seti(kLeft * q.high_sum);
  const typename V::I low_shift = V::seti(kLeft * q.low_sum);
  for (int t = 0; t < length;) {
    const Span span(head, false, t, length, 1);
    const uint8_t* keys = span.start;
    for (; t < span.last; t += kTile) {
      typename V::I high[S];
      typename V::I low[S];
      for (int s = 0; s < S; ++s) high[s] = low[s] = V::seti(0);
      for (int i = 0; i < head.width; i += 4, keys += 4 * kTile) {
        span.prefetch(keys);
        for (int s = 0; s < S; ++s) {
          const typename V::B k = V::load_bytes(keys + 4 * V::kLanes * s);
          high[s] = V::dot_weights(high[s], k, V::broadcast(q.high + i));
          low[s] = V::dot_weights(low[s], k, V::broadcast(q.low + i));
        }
      }
      for (int s = 0; s < S; ++s) {
        const typename V::I upper = V::muli(V::subi(high[s], high_shift), V::seti(128));
        const typename V::I sum = V::addi(upper, V::subi(low[s], low_shift));
        V::store(scores + t + s * V::kLanes, V::mul(V::to_float(sum), V::set(q.scale)));
      }
    }
  }
}

// Scores [length] to e^(score - largest), 0 up to the next multiple of 16; returns their sum.
template <class V>
float soften(int length, float* scores) {
  constexpr int S = Wide<V>::kParts;
  const int padded = (length + kTile - 1) / kTile * kTile;
  for (int t = length; t < padded; ++t) scores[t] = -__builtin_inff();
  Wide<V> largest(-__builtin_inff());
  for (int t = 0; t < padded; t += kTile) {
    for (int s = 0; s < S; ++s) {
      largest.part[s] = V::max(V::load(scores + t + s * V::kLanes), largest.part[s]);
    }
  }
  const typename V::F most = V::set(largest.largest());
  for (int t = 0; t < padded; t += V::kLanes) {
    V::store(scores + t, exponential<V>(V::sub(V::load(scores + t), most)));
  }
  for (int t = length; t < padded; ++t) scores[t] = 0;
  Wide<V> sum(0);
  for (int t = 0; t < padded; t += kTile) {
    for (int s = 0; s < S; ++s) {
      sum.part[s] = V::add(sum.part[s], V::load(scores + t + s * V::kLanes));
    }
  }
  return sum.sum();
}

template <class V>
typename V::F load_values(const float* p) {
  return V::load(p);
}
template <class V>
typename V::F load_values(const uint8_t* p) {
  return V::to_float(V::from_s8(p));
}

// out[i] = sum over positions of weight * value; even and odd positions are summed apart.
template <class V, class Element>
void weigh(const Head& head, int length, const float* weights, float* out) {
  constexpr int kChannels = 64;  // that are summed at once
  constexpr int kMost = kChannels / V::kLanes;
  const size_t width = static_cast<size_t>(head.width);
  for (int first = 0; first < head.width; first += kChannels) {
    const int left = head.width - first;
    const int count = (left < kChannels ? left : kChannels) / V::kLanes;
    typename V::F even[kMost];
    typename V::F odd[kMost];
    for (int i = 0; i < kMost; ++i) even[i] = odd[i] = V::set(0);
    const auto all = [&](int parts) {
      for (int t = 0; t < length;) {
        const Span span(head, true, t, length, sizeof(Element));
        const Element* v = reinterpret_cast<const Element*>(span.start) + first;
        const auto accumulate = [&](auto& sums, int position) {
          for (int i = 0; i < parts; ++i) {
            const Element* channels = v + i * V::kLanes;
            if (i * V::kLanes * sizeof(Element) % 64 == 0) {
              span.prefetch(reinterpret_cast<const uint8_t*>(channels));
            }
            sums[i] = V::fma(V::set(weights[position]), load_values<V>(channels), sums[i]);
          }
          v += width;
        };
        for (; t + 1 < span.last; t += 2) {
          accumulate(even, t);
          accumulate(odd, t + 1);
        }
        if (t < span.last) accumulate(even, t++);
      }
    };
    if (count == kMost) {
      all(kMost);  // a constant, so that the sums stay in registers
    } else {
      all(count);
    }
    for (int i = 0; i < count; ++i) {
      V::store(out + first + i * V::kLanes, V::add(even[i], odd[i]));
    }
  }
}

template <class V>
void attend(const Head& head, int length, const float* query, float* scratch, float* out) {
  if (head.key_scales) {
    scores_int8<V>(head, length, query, scratch);
  } else {
    scores_float<V>(head, length, query, scratch);
  }
  const float inverse = 1.0F / soften<V>(length, scratch);
  if (head.value_scales) {
    weigh<V, uint8_t>(head, length, scratch, out);
  } else {
    weigh<V, float>(head, length, scratch, out);
  }
  for (int i = 0; i < head.width; i += V::kLanes) {
    typename V::F value = V::mul(V::load(out + i), V::set(inverse));
    if (head.value_scales) value = V::mul(value, V::load(head.value_scales + i));
    V::store(out + i, value);
  }
}

}  // namespace chattts
