// Arm with the dot product instructions (ARMv8.2 and later): 4 lanes.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace chattts {

struct Neon {
  static constexpr int kLanes = 4;
  static constexpr int kRows = 4;
  static constexpr int kWeightOffset = 128;
  static constexpr int kActivationOffset = 128;
  using F = float32x4_t;
  using I = int32x4_t;
  using B = uint8x16_t;

  static F set(float x) { return vdupq_n_f32(x); }
  static F load(const float* p) { return vld1q_f32(p); }
  static F load_half(const uint8_t* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
  static void store(float* p, F x) { vst1q_f32(p, x); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static F sub(F a, F b) { return vsubq_f32(a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F div(F a, F b) { return vdivq_f32(a, b); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
  static F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
  static F abs(F a) { return vabsq_f32(a); }
  static I round(F a) { return vcvtnq_s32_f32(a); }
  static F to_float(I a) { return vcvtq_f32_s32(a); }
  static F power_of_two(I n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
  }

  static I seti(int32_t x) { return vdupq_n_s32(x); }
  static I loadi(const int32_t* p) { return vld1q_s32(p); }
  static void storei(int32_t* p, I a) { vst1q_s32(p, a); }
  static I addi(I a, I b) { return vaddq_s32(a, b); }
  static I subi(I a, I b) { return vsubq_s32(a, b); }
  static I muli(I a, I b) { return vmulq_s32(a, b); }
  static I from_u8(const uint8_t* p) {
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load4(p)))));
  }
  // Of 16 numbers in half bytes, see Matrix, those of one part.
  static I from_halves(const uint8_t* p, int part) {
    const I bytes = from_u8(p + part % 2 * kLanes);
    return part < 2 ? vandq_s32(bytes, seti(15)) : vshrq_n_s32(bytes, 4);
  }
  static I from_s8(const uint8_t* p) {
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load4(p)))));
  }
  static void store_bytes(uint8_t* p, I a) {
    const uint16x4_t low = vmovn_u32(vreinterpretq_u32_s32(a));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(low, low));
    const uint32_t x = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    std::memcpy(p, &x, 4);
  }

  static B load_bytes(const uint8_t* p) { return vld1q_u8(p); }
  static B broadcast(const uint8_t* p) {
    uint32_t x;
    std::memcpy(&x, p, 4);
    return vreinterpretq_u8_u32(vdupq_n_u32(x));
  }
  static B low_halves(B x) { return vandq_u8(x, vdupq_n_u8(15)); }
  static B high_halves(B x) { return vshrq_n_u8(x, 4); }

  static I dot_weights(I sum, B weights, B a) { return vdotq_s32(sum, less(weights), plain(a)); }
  template <bool kNarrow>
  static I dot_static(I sum, B a, B weights) {
    return vdotq_s32(sum, less(a), plain(weights));
  }
  static I dot_group(const B (&w)[8], const uint8_t* a) {
    I even = seti(0), odd = seti(0);
    for (int q = 0; q < 8; q += 2) {
      even = vdotq_s32(even, plain(w[q]), plain(broadcast(a + 4 * q)));
      odd = vdotq_s32(odd, plain(w[q + 1]), plain(broadcast(a + 4 * q + 4)));
    }
    return addi(even, odd);
  }

 private:
  static int8x16_t plain(B x) { return vreinterpretq_s8_u8(x); }
  static int8x16_t less(B x) { return plain(veorq_u8(x, vdupq_n_u8(128))); }
  static uint8x8_t load4(const uint8_t* p) {
    uint32_t x;
    std::memcpy(&x, p, 4);
    return vreinterpret_u8_u32(vdup_n_u32(x));
  }
};

}  // namespace chattts
