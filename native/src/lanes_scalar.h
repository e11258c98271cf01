// Plain C++, a lane at a time: what the other instruction sets are tested against.
#pragma once

#include <cstdint>
#include <cstring>

namespace chattts {

struct Scalar {
  static constexpr int kLanes = 1;
  static constexpr int kRows = 1;
  static constexpr int kWeightOffset = 0;
  static constexpr int kActivationOffset = 0;
  using F = float;
  using I = int32_t;
  using B = uint32_t;

  static F set(float x) { return x; }
  static F load(const float* p) { return *p; }
  static F load_half(const uint8_t* p) {
    uint16_t half;
    std::memcpy(&half, p, 2);
    const uint32_t rest = static_cast<uint32_t>(half & 0x7FFF) << 13;
    float value;
    std::memcpy(&value, &rest, 4);
    value *= 0x1p112F;  // the exponents count from 15 and from 127
    if ((half & 0x7C00) == 0x7C00) value = (half & 0x3FF) ? __builtin_nanf("") : __builtin_inff();
    return half & 0x8000 ? -value : value;
  }
  static void store(float* p, F x) { *p = x; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static F abs(F a) { return __builtin_fabsf(a); }
  static I round(F a) {
    // As the vector instructions: what does not fit becomes the least integer.
    const F whole = __builtin_rintf(a);
    return whole >= -2147483648.0F && whole < 2147483648.0F ? static_cast<I>(whole) : INT32_MIN;
  }
  static F to_float(I a) { return static_cast<F>(a); }
  static F power_of_two(I n) {
    const uint32_t bits = (static_cast<uint32_t>(n) + 127U) << 23;
    F result;
    std::memcpy(&result, &bits, 4);
    return result;
  }

  static I seti(int32_t x) { return x; }
  static I loadi(const int32_t* p) { return *p; }
  static void storei(int32_t* p, I a) { *p = a; }
  static I addi(I a, I b) { return a + b; }
  static I subi(I a, I b) { return a - b; }
  static I muli(I a, I b) { return a * b; }
  static I from_u8(const uint8_t* p) { return *p; }
  // Of 16 numbers in half bytes, see Matrix, one.
  static I from_halves(const uint8_t* p, int part) { return p[part % 8] >> part / 8 * 4 & 15; }
  static I from_s8(const uint8_t* p) { return static_cast<int8_t>(*p); }
  static void store_bytes(uint8_t* p, I a) { *p = static_cast<uint8_t>(a); }

  static B load_bytes(const uint8_t* p) {
    B x;
    std::memcpy(&x, p, 4);
    return x;
  }
  static B broadcast(const uint8_t* p) { return load_bytes(p); }
  static B low_halves(B x) { return x & 0x0f0f0f0fU; }
  static B high_halves(B x) { return (x >> 4) & 0x0f0f0f0fU; }

  // Unsigned bytes of `u` by signed bytes of `s`.
  static I dot_weights(I sum, B u, B s) {
    for (int byte = 0; byte < 32; byte += 8) {
      sum += static_cast<uint8_t>(u >> byte) * static_cast<int8_t>(s >> byte);
    }
    return sum;
  }
  template <bool kNarrow>
  static I dot_static(I sum, B a, B weights) {
    return dot_weights(sum, a, weights);
  }
  static I dot_group(const B (&w)[8], const uint8_t* a) {
    I sum = 0;
    for (int q = 0; q < 8; ++q) sum = dot_weights(sum, w[q], broadcast(a + 4 * q));
    return sum;
  }
};

}  // namespace chattts
