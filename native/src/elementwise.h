// Norm, rounding of activations and the gate, for any vectors V.
//
// A vector stands for a part of 16 lanes, and sums over an array are kept in those 16 lanes before
// they are folded, so that every V adds the same numbers in the same order.  No standard library
// here: what a template of it compiles to could replace the same one of another unit, and that unit
// may be meant for processors without these instructions.
#pragma once

#include "kernels.h"

namespace chattts {

// Bytes that are asked for ahead of their use: more than memory delivers in its own latency.
inline constexpr int kAhead = 4096;

inline void prefetch(const uint8_t* p) { __builtin_prefetch(p + kAhead); }

template <class V>
struct Wide {  // 16 lanes
  static constexpr int kParts = kTile / V::kLanes;
  typename V::F part[kParts];

  explicit Wide(float x) {
    for (auto& p : part) p = V::set(x);
  }
  template <class Operation>
  float fold(Operation operation) const {
    float lanes[kTile];
    for (int i = 0; i < kParts; ++i) V::store(lanes + i * V::kLanes, part[i]);
    for (int half = kTile / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) lanes[i] = operation(lanes[i], lanes[i + half]);
    }
    return lanes[0];
  }
  float sum() const {
    return fold([](float a, float b) { return a + b; });
  }
  float largest() const {
    return fold([](float a, float b) { return a > b ? a : b; });
  }
};

// e^x; 0 only below -87, infinity never; NaN stays NaN.
template <class V>
typename V::F exponential(typename V::F x) {
  x = V::max(V::set(-87.0F), V::min(V::set(88.0F), x));
  const typename V::I n = V::round(V::mul(x, V::set(1.44269504F)));
  const typename V::F whole = V::to_float(n);
  typename V::F r = V::fma(whole, V::set(-0.693359375F), x);
  r = V::fma(whole, V::set(2.12194440e-4F), r);
  typename V::F p = V::set(1.9875691500e-4F);
  p = V::fma(p, r, V::set(1.3981999507e-3F));
  p = V::fma(p, r, V::set(8.3334519073e-3F));
  p = V::fma(p, r, V::set(4.1665795894e-2F));
  p = V::fma(p, r, V::set(1.6666665459e-1F));
  p = V::fma(p, r, V::set(5.0000001201e-1F));
  p = V::fma(p, V::mul(r, r), V::add(r, V::set(1.0F)));
  return V::mul(p, V::power_of_two(n));
}

template <class V>
void norm(const float* x, const float* gain, float epsilon, int n, float* out) {
  Wide<V> squares(0);
  for (int i = 0; i < n; i += kTile) {
    for (int p = 0; p < Wide<V>::kParts; ++p) {
      const typename V::F value = V::load(x + i + p * V::kLanes);
      squares.part[p] = V::fma(value, value, squares.part[p]);
    }
  }
  const float mean = squares.sum() / static_cast<float>(n);
  const typename V::F inverse = V::set(1.0F / __builtin_sqrtf(mean + epsilon));
  for (int i = 0; i < n; i += V::kLanes) {
    V::store(out + i, V::mul(V::mul(V::load(x + i), inverse), V::load(gain + i)));
  }
}

template <class V>
void quantize_static(const float* x, int n, float scale, int zero, uint8_t* out, float* finite) {
  // As ONNX's QuantizeLinear: divided, rounded to even, saturated.
  const typename V::F divisor = V::set(scale);
  const typename V::F low = V::set(static_cast<float>(-zero));
  const typename V::F high = V::set(static_cast<float>(255 - zero));
  const typename V::I shift = V::seti(zero);
  Wide<V> check(1);
  for (int i = 0; i < n; i += kTile) {
    for (int p = 0; p < Wide<V>::kParts; ++p) {
      const int at = i + p * V::kLanes;
      const typename V::F value = V::load(x + at);
      check.part[p] = V::fma(value, V::set(0), check.part[p]);  // NaN unless finite
      const typename V::F scaled = V::max(V::min(V::div(value, divisor), high), low);
      V::store_bytes(out + at, V::addi(V::round(scaled), shift));
    }
  }
  const float sum = check.sum();
  *finite = sum == static_cast<float>(kTile) ? 1.0F : sum;
}

// As quantize_static, and behind the n bytes n more: what those gave too much, rounded too.
template <class V>
void quantize_wide(const float* x, const Matrix& m, uint8_t* out, float* finite) {
  quantize_static<V>(x, m.inputs, m.input_scale, m.input_zero, out, finite);
  const typename V::F scale = V::set(m.input_scale);
  const typename V::F divisor = V::set(m.lower_scale);
  const typename V::F low = V::set(static_cast<float>(-m.lower_zero));
  const typename V::F high = V::set(static_cast<float>(255 - m.lower_zero));
  const typename V::I zero = V::seti(m.input_zero);
  const typename V::I shift = V::seti(m.lower_zero);
  for (int i = 0; i < m.inputs; i += V::kLanes) {
    const typename V::F rounded = V::mul(V::to_float(V::subi(V::from_u8(out + i), zero)), scale);
    const typename V::F rest = V::div(V::sub(rounded, V::load(x + i)), divisor);
    const typename V::I integer = V::round(V::max(V::min(rest, high), low));
    V::store_bytes(out + m.inputs + i, V::addi(integer, shift));
  }
}

template <class V>
void quantize_blocks(const float* x, int n, int block, uint8_t* out, float* scales, int32_t* sums) {
  for (int start = 0; start < n; start += block, x += block, out += block) {
    Wide<V> largest(0);
    Wide<V> check(0);
    for (int i = 0; i < block; i += kTile) {
      for (int p = 0; p < Wide<V>::kParts; ++p) {
        const typename V::F value = V::load(x + i + p * V::kLanes);
        largest.part[p] = V::max(V::abs(value), largest.part[p]);
        check.part[p] = V::fma(value, V::set(0), check.part[p]);
      }
    }
    const float most = largest.largest();
    const typename V::F inverse = V::set(most > 0 ? 127.0F / most : 0.0F);
    const typename V::F limit = V::set(127.0F);
    typename V::I total = V::seti(0);
    for (int i = 0; i < block; i += V::kLanes) {
      typename V::F scaled = V::mul(V::load(x + i), inverse);
      scaled = V::max(V::min(scaled, limit), V::sub(V::set(0), limit));
      const typename V::I rounded = V::round(scaled);
      total = V::addi(total, rounded);
      V::store_bytes(out + i, rounded);
    }
    int32_t lanes[V::kLanes];
    V::storei(lanes, total);
    int32_t sum = 0;
    for (const int32_t lane : lanes) sum += lane;
    *sums++ = sum;
    *scales++ = most / 127.0F + check.sum();
  }
}

template <class V>
void gate(const float* gate, const float* up, int n, float* out) {
  for (int i = 0; i < n; i += V::kLanes) {
    const typename V::F g = V::load(gate + i);
    const typename V::F e = exponential<V>(V::sub(V::set(0), g));
    const typename V::F silu = V::div(g, V::add(e, V::set(1)));
    V::store(out + i, V::mul(silu, V::load(up + i)));
  }
}

}  // namespace chattts
