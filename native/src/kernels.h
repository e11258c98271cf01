// What is written for every instruction set: the inner loops, as a table of functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "matrix.h"

namespace chattts {

// Keys and values of one head of one sequence; see attention.h for the order of their elements.
struct Head {
  void* keys = nullptr;
  void* values = nullptr;
  const float* key_scales = nullptr;    // [width], null where the cache is float
  const float* value_scales = nullptr;  // [width], null where the cache is float
  int width = 0;                        // a multiple of 16
  int segment = 0;                      // positions whose keys lie together, and whose values do
  size_t stride = 0;                    // bytes from one segment's keys, or values, to the next's
};

// All sums are taken in one order whatever the width of the vectors, so that every table gives the
// same bits.
struct Kernels {
  const char* name;

  // out[i] = x[i] / rms(x) * gain[i]
  void (*norm)(const float* x, const float* gain, float epsilon, int n, float* out);
  // UINT8 of x over `scale` around `zero`; *finite becomes 1, or NaN where x has what is not finite
  void (*quantize_static)(const float* x, int n, float scale, int zero, uint8_t* out,
                          float* finite);
  // The same in 16 bits, as `matrix` says: out [2 * inputs]
  void (*quantize_wide)(const float* x, const Matrix& matrix, uint8_t* out, float* finite);
  // INT8 of x with a scale a block; a block that is not finite gets the scale NaN
  void (*quantize_blocks)(const float* x, int n, int block, uint8_t* out, float* scales,
                          int32_t* sums);
  // One tile of outputs for all rows: out [rows][16]
  void (*product)(const Matrix& matrix, int tile, const Activations& input, int rows, float* out);
  // out[i] = silu(gate[i]) * up[i]; n a multiple of 16
  void (*gate)(const float* gate, const float* up, int n, float* out);
  // Put a key (rotated) and a value at `position` of a head
  void (*store)(const Head& head, int position, const float* key, const float* value);
  // Attention of one query (rotated) over the positions before `length`; `scratch` holds
  // length + 16 floats
  void (*attend)(const Head& head, int length, const float* query, float* scratch, float* out);
};

// Null where it was not compiled or this machine lacks it.
const Kernels* kernels_avx512();
const Kernels* kernels_avxvnni();
const Kernels* kernels_avx2();
const Kernels* kernels_neon();
const Kernels* kernels_scalar();

// The fastest that this machine runs, or the one named (null: not there).
const Kernels* choose_kernels(const char* name);

}  // namespace chattts
