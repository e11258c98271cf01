// AVX-512 with VNNI: 16 lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace chattts {

struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kRows = 8;              // rows that share a load of weights
  static constexpr int kWeightOffset = 0;      // what dot_weights takes off unsigned weights
  static constexpr int kActivationOffset = 0;  // what dot_static takes off unsigned activations
  using F = __m512;
  using I = __m512i;
  using B = __m512i;  // 4 bytes a lane

  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load_half(const uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where either is NaN
  static F min(F a, F b) { return _mm512_min_ps(a, b); }  // b where either is NaN
  static F abs(F a) { return _mm512_abs_ps(a); }
  static I round(F a) { return _mm512_cvtps_epi32(a); }  // to even
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static F power_of_two(I n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
  }

  static I seti(int32_t x) { return _mm512_set1_epi32(x); }
  static I loadi(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void storei(int32_t* p, I a) { _mm512_storeu_si512(p, a); }
  static I addi(I a, I b) { return _mm512_add_epi32(a, b); }
  static I subi(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I muli(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I from_u8(const uint8_t* p) { return _mm512_cvtepu8_epi32(load16(p)); }
  // Of 16 numbers in half bytes, see Matrix, those of one part.
  static I from_halves(const uint8_t* p, int) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m128i both = _mm_unpacklo_epi64(bytes, _mm_srli_epi16(bytes, 4));
    return _mm512_cvtepu8_epi32(_mm_and_si128(both, _mm_set1_epi8(15)));
  }
  static I from_s8(const uint8_t* p) { return _mm512_cvtepi8_epi32(load16(p)); }
  static void store_bytes(uint8_t* p, I a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }

  static B load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static B broadcast(const uint8_t* p) {
    int32_t x;
    std::memcpy(&x, p, 4);
    return _mm512_set1_epi32(x);
  }
  static B low_halves(B x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
  static B high_halves(B x) { return low_halves(_mm512_srli_epi16(x, 4)); }

  static I dot_weights(I sum, B weights, B a) { return _mm512_dpbusd_epi32(sum, weights, a); }
  template <bool kNarrow>
  static I dot_static(I sum, B a, B weights) {
    return _mm512_dpbusd_epi32(sum, a, weights);
  }
  // 32 inputs of a 4-bit block
  static I dot_group(const B (&w)[8], const uint8_t* a) {
    I even = seti(0), odd = seti(0);
    for (int q = 0; q < 8; q += 2) {
      even = _mm512_dpbusd_epi32(even, w[q], broadcast(a + 4 * q));
      odd = _mm512_dpbusd_epi32(odd, w[q + 1], broadcast(a + 4 * q + 4));
    }
    return addi(even, odd);
  }

 private:
  static __m128i load16(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
};

}  // namespace chattts
