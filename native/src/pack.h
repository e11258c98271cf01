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
  const void* weights;
  const float* scales;
  const uint8_t* zeros;
  const float* bias;  // [outputs] or null
};

// Null where it can be packed, else the reason.
const char* refusal(const Source& source);
// What of a matrix is known before its tiles are.
Matrix describe(const Source& source);
// Fill one tile of `matrix`, which lies at `out`; `order` gives the source's output for each of the
// matrix's, so that outputs can change places (null: as they come).
void pack_tile(const Source& source, const Matrix& matrix, int tile, const int32_t* order,
               uint8_t* out);

}  // namespace chattts
