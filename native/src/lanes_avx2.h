// AVX2 with FMA, and with AVX-VNNI where the unit is compiled for it: 8 lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace chattts {

#ifdef __AVXVNNI__
#define CHATTTS_AVX2_LANES AvxVnni
#else
#define CHATTTS_AVX2_LANES Avx2
#endif

struct CHATTTS_AVX2_LANES {
  static constexpr int kLanes = 8;
  static constexpr int kRows = 4;
  static constexpr int kActivationOffset = 0;
  using F = __m256;
  using I = __m256i;
  using B = __m256i;

  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load_half(const uint8_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
  static I round(F a) { return _mm256_cvtps_epi32(a); }
  static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  static F power_of_two(I n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }

  static I seti(int32_t x) { return _mm256_set1_epi32(x); }
  static I loadi(const int32_t* p) { return load32(p); }
  static void storei(int32_t* p, I a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
  static I addi(I a, I b) { return _mm256_add_epi32(a, b); }
  static I subi(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I muli(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I from_u8(const uint8_t* p) { return _mm256_cvtepu8_epi32(load8(p)); }
  // Of 16 numbers in half bytes, see Matrix, those of one part.
  static I from_halves(const uint8_t* p, int part) {
    const __m128i bytes = part ? _mm_srli_epi16(load8(p), 4) : load8(p);
    return _mm256_cvtepu8_epi32(_mm_and_si128(bytes, _mm_set1_epi8(15)));
  }
  static I from_s8(const uint8_t* p) { return _mm256_cvtepi8_epi32(load8(p)); }
  static void store_bytes(uint8_t* p, I a) {
    const __m256i first =
        _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12,
                         -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i bytes = _mm256_shuffle_epi8(a, first);
    const int32_t parts[2] = {_mm256_extract_epi32(bytes, 0), _mm256_extract_epi32(bytes, 4)};
    std::memcpy(p, parts, 8);
  }

  static B load_bytes(const uint8_t* p) { return load32(p); }
  static B broadcast(const uint8_t* p) {
    int32_t x;
    std::memcpy(&x, p, 4);
    return _mm256_set1_epi32(x);
  }
  static B low_halves(B x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static B high_halves(B x) { return low_halves(_mm256_srli_epi16(x, 4)); }

#ifdef __AVXVNNI__
  static constexpr int kWeightOffset = 0;
  static I dot_weights(I sum, B weights, B a) { return _mm256_dpbusd_avx_epi32(sum, weights, a); }
  template <bool kNarrow>
  static I dot_static(I sum, B a, B weights) {
    return _mm256_dpbusd_avx_epi32(sum, a, weights);
  }
  static I dot_group(const B (&w)[8], const uint8_t* a) {
    I even = seti(0), odd = seti(0);
    for (int q = 0; q < 8; q += 2) {
      even = _mm256_dpbusd_avx_epi32(even, w[q], broadcast(a + 4 * q));
      odd = _mm256_dpbusd_avx_epi32(odd, w[q + 1], broadcast(a + 4 * q + 4));
    }
    return addi(even, odd);
  }
#else
  // vpmaddubsw adds pairs of products in 16 bits and saturates.  Weights less 128 and activations
  // up to 127 hold (2 * 128 * 127 < 2^15), once the signs are moved to the activations.
  static constexpr int kWeightOffset = 128;
  static I dot_weights(I sum, B weights, B a) {
    const B less = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
    const B pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(less), _mm256_sign_epi8(a, less));
    return addi(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  template <bool kNarrow>
  static I dot_static(I sum, B a, B weights) {
    if constexpr (kNarrow) {  // 2 * 255 * 64 < 2^15
      const B pairs = _mm256_maddubs_epi16(a, weights);
      return addi(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    const B a_even = _mm256_and_si256(a, _mm256_set1_epi16(255));
    const B a_odd = _mm256_srli_epi16(a, 8);
    const B w_even = _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8);
    const B w_odd = _mm256_srai_epi16(weights, 8);
    return addi(sum, addi(_mm256_madd_epi16(a_even, w_even), _mm256_madd_epi16(a_odd, w_odd)));
  }
  static I dot_group(const B (&w)[8], const uint8_t* a) {
    // 8 sums of pairs of at most 2 * 15 * 127 hold in 16 bits
    B even = _mm256_maddubs_epi16(w[0], broadcast(a));
    B odd = _mm256_maddubs_epi16(w[1], broadcast(a + 4));
    for (int q = 2; q < 8; q += 2) {
      even = _mm256_add_epi16(even, _mm256_maddubs_epi16(w[q], broadcast(a + 4 * q)));
      odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(w[q + 1], broadcast(a + 4 * q + 4)));
    }
    return _mm256_madd_epi16(_mm256_add_epi16(even, odd), _mm256_set1_epi16(1));
  }
#endif

 private:
  static __m256i load32(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static __m128i load8(const uint8_t* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
};

}  // namespace chattts
