// Products of rows of activations with one tile of a matrix, for any vectors V.
#pragma once

#include "elementwise.h"

namespace chattts {

template <class V>
inline constexpr int kParts = kTile / V::kLanes;

// Sums for each of the 16 lanes of R rows, from 0 on.
template <class V, int R>
struct Floats {
  typename V::F of[kParts<V>][R];

  Floats() {
    for (auto& part : of) {
      for (auto& value : part) value = V::set(0);
    }
  }
};

template <class V, int R>
struct Wholes {
  typename V::I of[kParts<V>][R];

  Wholes() {
    for (auto& part : of) {
      for (auto& value : part) value = V::seti(0);
    }
  }
};

// The results of R rows from `row` on, with the bias added.
template <class V, int R>
void finish(const Matrix& m, int tile, const Floats<V, R>& sums, int row, float* out) {
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < kParts<V>; ++s) {
      const int column = s * V::kLanes;
      typename V::F value = sums.of[s][r];
      if (m.bias) value = V::add(value, V::load(m.bias + tile * kTile + column));
      V::store(out + (row + r) * kTile + column, value);
    }
  }
}

template <class V, int R>
void product_float(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  Floats<V, R> sum;
  const float* w = reinterpret_cast<const float*>(m.tile(tile));
  const float* x = a.values + static_cast<size_t>(row) * m.inputs;
  for (int k = 0; k < m.inputs; ++k, w += kTile) {
    prefetch(reinterpret_cast<const uint8_t*>(w));
    for (int s = 0; s < S; ++s) {
      const typename V::F weights = V::load(w + s * V::kLanes);
      for (int r = 0; r < R; ++r) {
        const float value = x[static_cast<size_t>(r) * m.inputs + k];
        sum.of[s][r] = V::fma(weights, V::set(value), sum.of[s][r]);
      }
    }
  }
  finish(m, tile, sum, row, out);
}

// Integer sums of a tile as floats: `zero` is the activations' zero point, `scales` have theirs in.
template <class V, int R>
Floats<V, R> scaled(const Matrix& m, int tile, const Wholes<V, R>& sum, int zero,
                    const float* scales, const float* finite) {
  Floats<V, R> result;
  for (int s = 0; s < kParts<V>; ++s) {
    const int column = tile * kTile + s * V::kLanes;
    const typename V::I sums = V::loadi(m.sums + column);
    const typename V::I shift = V::muli(V::seti(zero - V::kActivationOffset), sums);
    const typename V::F scale = V::load(scales + column);
    for (int r = 0; r < R; ++r) {
      const typename V::F value = V::mul(V::to_float(V::subi(sum.of[s][r], shift)), scale);
      result.of[s][r] = V::mul(value, V::set(finite[r]));
    }
  }
  return result;
}

template <class V, int R, bool kNarrow>
void product_static(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  Wholes<V, R> sum;
  const uint8_t* w = m.tile(tile);
  const uint8_t* x = a.bytes + static_cast<size_t>(row) * m.inputs;
  for (int k = 0; k < m.inputs; k += 4, w += 4 * kTile) {
    prefetch(w);
    for (int s = 0; s < S; ++s) {
      const typename V::B weights = V::load_bytes(w + 4 * V::kLanes * s);
      for (int r = 0; r < R; ++r) {
        const typename V::B value = V::broadcast(x + static_cast<size_t>(r) * m.inputs + k);
        sum.of[s][r] = V::template dot_static<kNarrow>(sum.of[s][r], value, weights);
      }
    }
  }
  finish(m, tile, scaled(m, tile, sum, m.input_zero, m.scales, a.scales + row), row, out);
}

// Sums of two bytes an activation: the lower one's are taken off.
template <class V, int R, bool kNarrow>
void product_wide(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  Wholes<V, R> upper;
  Wholes<V, R> lower;
  const uint8_t* w = m.tile(tile);
  const size_t width = static_cast<size_t>(m.row_bytes());
  const uint8_t* x = a.bytes + static_cast<size_t>(row) * width;
  for (int k = 0; k < m.inputs; k += 4, w += 4 * kTile) {
    prefetch(w);
    for (int s = 0; s < S; ++s) {
      const typename V::B weights = V::load_bytes(w + 4 * V::kLanes * s);
      for (int r = 0; r < R; ++r) {
        const uint8_t* at = x + static_cast<size_t>(r) * width + k;
        const typename V::B high = V::broadcast(at);
        const typename V::B low = V::broadcast(at + m.inputs);
        upper.of[s][r] = V::template dot_static<kNarrow>(upper.of[s][r], high, weights);
        lower.of[s][r] = V::template dot_static<kNarrow>(lower.of[s][r], low, weights);
      }
    }
  }
  const float* finite = a.scales + row;
  Floats<V, R> result = scaled(m, tile, upper, m.input_zero, m.scales, finite);
  const Floats<V, R> less = scaled(m, tile, lower, m.lower_zero, m.lower_scales, finite);
  for (int s = 0; s < S; ++s) {
    for (int r = 0; r < R; ++r) result.of[s][r] = V::sub(result.of[s][r], less.of[s][r]);
  }
  finish(m, tile, result, row, out);
}

// What follows the integers of a block: scales, and zero points where it stores them.  `offset` is
// what the dot product took off the weights already.
template <class V>
struct BlockEnd {
  typename V::F scale;
  typename V::I zero;

  BlockEnd(const Matrix& m, const uint8_t* end, int part, int offset) {
    const int width = m.half ? 2 : 4;
    const uint8_t* at = end + width * part * V::kLanes;
    scale = m.half ? V::load_half(at) : V::load(reinterpret_cast<const float*>(at));
    const int middle = 1 << (m.bits - 1);
    const uint8_t* points = end + width * kTile;
    if (!m.zeros) {
      zero = V::seti(middle);
    } else {
      zero = m.bits == 8 ? V::from_u8(points + part * V::kLanes) : V::from_halves(points, part);
    }
    zero = V::subi(zero, V::seti(offset));
  }
  typename V::F add(typename V::F sum, typename V::I dot, float x_scale, int32_t x_sum) const {
    const typename V::I whole = V::subi(dot, V::muli(zero, V::seti(x_sum)));
    return V::fma(V::to_float(whole), V::mul(scale, V::set(x_scale)), sum);
  }
};

template <class V, int R>
void product_8_bit(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  Floats<V, R> sum;
  const int blocks = m.blocks();
  const size_t tail = m.tail_bytes();
  const uint8_t* w = m.tile(tile);
  for (int b = 0; b < blocks; ++b, w += m.block * kTile + tail) {
    const uint8_t* end = w + m.block * kTile;
    const uint8_t* x = a.bytes + static_cast<size_t>(row) * m.inputs + b * m.block;
    Wholes<V, R> dot;
    for (int k = 0; k < m.block; k += 4) {
      prefetch(w + k * kTile);
      for (int s = 0; s < S; ++s) {
        const typename V::B weights = V::load_bytes(w + k * kTile + 4 * V::kLanes * s);
        for (int r = 0; r < R; ++r) {
          const typename V::B value = V::broadcast(x + static_cast<size_t>(r) * m.inputs + k);
          dot.of[s][r] = V::dot_weights(dot.of[s][r], weights, value);
        }
      }
    }
    for (int s = 0; s < S; ++s) {
      const BlockEnd<V> block(m, end, s, V::kWeightOffset);
      for (int r = 0; r < R; ++r) {
        const size_t at = static_cast<size_t>(row + r) * blocks + b;
        sum.of[s][r] = block.add(sum.of[s][r], dot.of[s][r], a.scales[at], a.sums[at]);
      }
    }
  }
  finish(m, tile, sum, row, out);
}

template <class V, int R>
void product_4_bit(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  constexpr int kGroup = 32;
  Floats<V, R> sum;
  const int blocks = m.blocks();
  const size_t tail = m.tail_bytes();
  const uint8_t* w = m.tile(tile);
  for (int b = 0; b < blocks; ++b, w += m.block / 2 * kTile + tail) {
    const uint8_t* end = w + m.block / 2 * kTile;
    for (int line = 0; line < end + tail - w; line += 64) prefetch(w + line);
    for (int s = 0; s < S; ++s) {
      const BlockEnd<V> block(m, end, s, 0);
      typename V::I dot[R];
      for (auto& value : dot) value = V::seti(0);
      for (int k = 0; k < m.block; k += kGroup) {
        typename V::B weights[8];
        for (int q = 0; q < 4; ++q) {
          const typename V::B both = V::load_bytes(w + k / 2 * kTile + 64 * q + 4 * V::kLanes * s);
          weights[q] = V::low_halves(both);
          weights[q + 4] = V::high_halves(both);
        }
        for (int r = 0; r < R; ++r) {
          const size_t at = static_cast<size_t>(row + r) * m.inputs + b * m.block + k;
          dot[r] = V::addi(dot[r], V::dot_group(weights, a.bytes + at));
        }
      }
      for (int r = 0; r < R; ++r) {
        const size_t at = static_cast<size_t>(row + r) * blocks + b;
        sum.of[s][r] = block.add(sum.of[s][r], dot[r], a.scales[at], a.sums[at]);
      }
    }
  }
  finish(m, tile, sum, row, out);
}

template <class V, int R>
void product_rows(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  switch (m.format) {
    case Format::kFloat:
      return product_float<V, R>(m, tile, a, row, out);
    case Format::kStatic:
      if (m.lower_scale > 0) {
        return m.narrow ? product_wide<V, R, true>(m, tile, a, row, out)
                        : product_wide<V, R, false>(m, tile, a, row, out);
      }
      return m.narrow ? product_static<V, R, true>(m, tile, a, row, out)
                      : product_static<V, R, false>(m, tile, a, row, out);
    case Format::kBlocks:
      return m.bits == 8 ? product_8_bit<V, R>(m, tile, a, row, out)
                         : product_4_bit<V, R>(m, tile, a, row, out);
  }
}

template <class V>
void product(const Matrix& m, int tile, const Activations& a, int rows, float* out) {
  int row = 0;
  if constexpr (V::kRows >= 8) {
    for (; row + 8 <= rows; row += 8) product_rows<V, 8>(m, tile, a, row, out);
  }
  if constexpr (V::kRows >= 4) {
    for (; row + 4 <= rows; row += 4) product_rows<V, 4>(m, tile, a, row, out);
    for (; row + 2 <= rows; row += 2) product_rows<V, 2>(m, tile, a, row, out);
  }
  for (; row < rows; ++row) product_rows<V, 1>(m, tile, a, row, out);
}

}  // namespace chattts
