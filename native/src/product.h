// Products of rows of activations with one tile of a matrix, for any vectors V.
#pragma once

#include "kernels.h"

namespace chattts {

// Bytes that are asked for ahead of their use: about what memory delivers in its own latency.
inline constexpr int kAhead = 2048;

template <class V>
inline constexpr int kParts = kTile / V::kLanes;

inline void prefetch(const uint8_t* p) { __builtin_prefetch(p + kAhead); }

// The results of R rows, a part of the 16 lanes at a time, with the bias added.
template <class V>
void finish(const Matrix& m, int tile, int part, typename V::F value, float* out) {
  const int column = part * V::kLanes;
  if (m.bias) value = V::add(value, V::load(m.bias + tile * kTile + column));
  V::store(out + column, value);
}

template <class V, int R>
void product_float(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  typename V::F sum[S][R];
  for (auto& part : sum) {
    for (auto& value : part) value = V::set(0);
  }
  const float* w = reinterpret_cast<const float*>(m.tile(tile));
  const float* x = a.values + static_cast<size_t>(row) * m.inputs;
  for (int k = 0; k < m.inputs; ++k, w += kTile) {
    prefetch(reinterpret_cast<const uint8_t*>(w));
    for (int s = 0; s < S; ++s) {
      const typename V::F weights = V::load(w + s * V::kLanes);
      for (int r = 0; r < R; ++r) {
        const float value = x[static_cast<size_t>(r) * m.inputs + k];
        sum[s][r] = V::fma(weights, V::set(value), sum[s][r]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) finish<V>(m, tile, s, sum[s][r], out + (row + r) * kTile);
  }
}

template <class V, int R, bool kNarrow>
void product_static(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  typename V::I sum[S][R];
  for (auto& part : sum) {
    for (auto& value : part) value = V::seti(0);
  }
  const uint8_t* w = m.tile(tile);
  const uint8_t* x = a.bytes + static_cast<size_t>(row) * m.inputs;
  for (int k = 0; k < m.inputs; k += 4, w += 4 * kTile) {
    prefetch(w);
    for (int s = 0; s < S; ++s) {
      const typename V::B weights = V::load_bytes(w + 4 * V::kLanes * s);
      for (int r = 0; r < R; ++r) {
        const typename V::B value = V::broadcast(x + static_cast<size_t>(r) * m.inputs + k);
        sum[s][r] = V::template dot_static<kNarrow>(sum[s][r], value, weights);
      }
    }
  }
  const typename V::I zero = V::seti(m.input_zero - V::kActivationOffset);
  for (int s = 0; s < S; ++s) {
    const int column = tile * kTile + s * V::kLanes;
    const typename V::I shift = V::muli(zero, V::loadi(m.sums + column));
    const typename V::F scale = V::load(m.scales + column);
    for (int r = 0; r < R; ++r) {
      typename V::F value = V::mul(V::to_float(V::subi(sum[s][r], shift)), scale);
      value = V::mul(value, V::set(a.scales[row + r]));
      finish<V>(m, tile, s, value, out + (row + r) * kTile);
    }
  }
}

// What follows the integers of a block: scales, then zero points or (kOffset ones) none.
template <class V>
struct BlockEnd {
  typename V::F scale;
  typename V::I zero;

  BlockEnd(const Matrix& m, const uint8_t* end, int part, int offset) {
    scale = V::load(reinterpret_cast<const float*>(end) + part * V::kLanes);
    const int middle = 1 << (m.bits - 1);
    zero = m.zeros ? V::from_u8(end + 4 * kTile + part * V::kLanes) : V::seti(middle);
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
  typename V::F sum[S][R];
  for (auto& part : sum) {
    for (auto& value : part) value = V::set(0);
  }
  const int blocks = m.blocks();
  const int tail = m.zeros ? 5 * kTile : 4 * kTile;
  const uint8_t* w = m.tile(tile);
  for (int b = 0; b < blocks; ++b, w += m.block * kTile + tail) {
    const uint8_t* end = w + m.block * kTile;
    const uint8_t* x = a.bytes + static_cast<size_t>(row) * m.inputs + b * m.block;
    typename V::I dot[S][R];
    for (auto& part : dot) {
      for (auto& value : part) value = V::seti(0);
    }
    for (int k = 0; k < m.block; k += 4) {
      prefetch(w + k * kTile);
      for (int s = 0; s < S; ++s) {
        const typename V::B weights = V::load_bytes(w + k * kTile + 4 * V::kLanes * s);
        for (int r = 0; r < R; ++r) {
          const typename V::B value = V::broadcast(x + static_cast<size_t>(r) * m.inputs + k);
          dot[s][r] = V::dot_weights(dot[s][r], weights, value);
        }
      }
    }
    for (int s = 0; s < S; ++s) {
      const BlockEnd<V> block(m, end, s, V::kWeightOffset);
      for (int r = 0; r < R; ++r) {
        const size_t at = static_cast<size_t>(row + r) * blocks + b;
        sum[s][r] = block.add(sum[s][r], dot[s][r], a.scales[at], a.sums[at]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) finish<V>(m, tile, s, sum[s][r], out + (row + r) * kTile);
  }
}

template <class V, int R>
void product_4_bit(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  constexpr int S = kParts<V>;
  constexpr int kGroup = 32;
  typename V::F sum[S][R];
  for (auto& part : sum) {
    for (auto& value : part) value = V::set(0);
  }
  const int blocks = m.blocks();
  const int tail = m.zeros ? 5 * kTile : 4 * kTile;
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
        sum[s][r] = block.add(sum[s][r], dot[r], a.scales[at], a.sums[at]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int s = 0; s < S; ++s) finish<V>(m, tile, s, sum[s][r], out + (row + r) * kTile);
  }
}

template <class V, int R>
void product_rows(const Matrix& m, int tile, const Activations& a, int row, float* out) {
  switch (m.format) {
    case Format::kFloat:
      return product_float<V, R>(m, tile, a, row, out);
    case Format::kStatic:
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
