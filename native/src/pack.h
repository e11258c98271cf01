// From the layouts of ONNX's operators to tiles; see matrix.h.
#pragma once

#include "matrix.h"

namespace chattts {

// A weight as the graph holds it.
//   float    weights [inputs][outputs] float
//   static   weights [inputs][outputs] int8, scales [outputs]
//   blocks   weights [outputs][blocks][block * bits / 8] uint8, low halves first; scales
//            [outputs][blocks]; zeros null or [outputs][bytes for blocks * bits] uint8
struct Source {
  Format format;
  int32_t inputs;
  int32_t outputs;
  int32_t bits;
  int32_t block;
  int32_t input_zero;
  float input_scale;
  float lower_scale;  // static: see Matrix; 0 where activations have 8 bits
  int32_t lower_zero;
  int32_t half;  // blocks: scales are of 16 bits
  const void* weights;
  const void* scales;
  const uint8_t* zeros;
  const float* bias;  // [outputs] or null
};

// Null where it can be packed, else the reason.
const char* refusal(const Source& source);
// What of a matrix is known before its tiles are.
Matrix describe(const Source& source);
// Fill one tile of `matrix`, which lies at `out`, with the source's outputs from `first` on; what
// is beyond the last is 0.
void pack_tile(const Source& source, const Matrix& matrix, int first, uint8_t* out);

}  // namespace chattts
