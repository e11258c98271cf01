// A weight matrix in the order in which a step reads it: tiles of 16 outputs, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chattts {

inline constexpr int kTile = 16;  // outputs that are computed together, on every instruction set

enum class Format : int32_t {
  kFloat = 0,   // float weights and activations
  kStatic = 1,  // INT8 weights, a scale an output; UINT8 activations with one scale for all
  kBlocks = 2,  // 4- or 8-bit weights and INT8 activations, a scale a block of inputs for both
};

// Tiles, by format (`quad` = 4 neighbouring inputs):
//   float    [inputs][16] float
//   static   [quads][16][4] int8
//   8 bit    for each block: [quads][16][4] uint8, scales [16] float or half, zeros [16] uint8
//   4 bit    for each block: for each 32 inputs [4][16][4] bytes, whose low halves are the
//            inputs 0 to 15 and whose high halves 16 to 31; scales as above; zeros [8] bytes,
//            whose low halves are of the outputs 0 to 7 and whose high halves 8 to 15
// Zero points are left out where all are the middle of the range.
struct Matrix {
  Format format = Format::kFloat;
  int inputs = 0;
  int outputs = 0;
  int bits = 32;
  int block = 0;          // inputs that share a scale
  bool zeros = false;     // whether blocks store zero points
  bool narrow = false;    // static: no weight is beyond 64, so that 16-bit sums of pairs hold
  int input_zero = 0;     // static: zero point of the activations
  float input_scale = 1;  // static: their scale
  // static: activations of 16 bits.  What 8 bits give too much is rounded with this scale and zero
  // point, and its product is taken off; 0: not so
  float lower_scale = 0;
  int lower_zero = 0;
  bool half = false;  // blocks: scales are stored in 16 bits
  size_t tile_bytes = 0;
  const uint8_t* tiles = nullptr;
  const float* scales = nullptr;        // static: [outputs padded], times input_scale
  const float* lower_scales = nullptr;  // static: [outputs padded], times lower_scale
  const int32_t* sums = nullptr;        // static: [outputs padded], sums of an output's weights
  const float* bias = nullptr;          // [outputs padded] or null

  int tile_count() const { return (outputs + kTile - 1) / kTile; }
  int blocks() const { return block ? inputs / block : 0; }
  // Bytes of a row of rounded activations.
  int row_bytes() const { return lower_scale > 0 ? 2 * inputs : inputs; }
  // Bytes behind the integers of a block: scales and zero points.
  size_t tail_bytes() const {
    const size_t zero_bytes = static_cast<size_t>(bits) * kTile / 8;
    return size_t{half ? 2U : 4U} * kTile + (zeros ? zero_bytes : 0);
  }
  const uint8_t* tile(int index) const { return tiles + tile_bytes * static_cast<size_t>(index); }
};

// Rows of activations, prepared for a matrix's format.
struct Activations {
  const float* values = nullptr;   // float: [rows][inputs]
  const uint8_t* bytes = nullptr;  // static: uint8, blocks: int8, [rows][row_bytes]
  const float* scales = nullptr;   // static: [rows], 1 or NaN; blocks: [rows][blocks]
  const int32_t* sums = nullptr;   // blocks: [rows][blocks], sums of a block's integers
};

}  // namespace chattts
