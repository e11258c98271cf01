#include "pack.h"

#include <cstring>
#include <initializer_list>

namespace chattts {
namespace {

constexpr int kGroup = 32;  // inputs that 4-bit tiles keep together

// Outputs of the tile that begins with output `first`.
int lanes(const Source& source, int first) {
  return source.outputs - first < kTile ? source.outputs - first : kTile;
}

void pack_float(const Source& source, int first, float* out) {
  const float* row = static_cast<const float*>(source.weights) + first;
  const int count = lanes(source, first);
  for (int k = 0; k < source.inputs; ++k, row += source.outputs, out += kTile) {
    for (int lane = 0; lane < kTile; ++lane) out[lane] = lane < count ? row[lane] : 0;
  }
}

// Four rows to quads: out[4 * lane + i] = rows[i][lane].
void interleave(const uint8_t* rows, ptrdiff_t stride, int count, uint8_t* out) {
  for (int lane = 0; lane < count; ++lane) {
    for (int i = 0; i < 4; ++i) out[4 * lane + i] = rows[i * stride + lane];
  }
}

void pack_static(const Source& source, int first, uint8_t* out) {
  const uint8_t* rows = static_cast<const uint8_t*>(source.weights) + first;
  const ptrdiff_t stride = source.outputs;
  const int count = lanes(source, first);
  for (int k = 0; k < source.inputs; k += 4, rows += 4 * stride, out += 4 * kTile) {
    if (count == kTile) {
      interleave(rows, stride, kTile, out);  // a constant, so that it becomes a few shuffles
    } else {
      std::memset(out, 0, 4 * kTile);
      interleave(rows, stride, count, out);
    }
  }
}

// One output's integers of a 4-bit block: 32 at a time, [4 quads][4 bytes] at a stride of a tile.
void pack_halves(const uint8_t* from, int block, uint8_t* out) {
  for (int start = 0; start < block; start += kGroup, from += kGroup / 2, out += 16 * kTile) {
    for (int i = 0; i < 16; ++i) {
      const int low = from[i / 2] >> (i % 2 * 4) & 15;
      const int high = from[8 + i / 2] >> (i % 2 * 4) & 15;
      out[i / 4 * 4 * kTile + i % 4] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

void pack_blocks(const Source& source, const Matrix& matrix, int first_output, uint8_t* out) {
  const int blocks = matrix.blocks();
  const size_t bytes =
      static_cast<size_t>(source.block) * static_cast<size_t>(source.bits) / 8;  // of one output
  const size_t zero_bytes = static_cast<size_t>((blocks * source.bits + 7) / 8);
  const size_t step = bytes * kTile + matrix.tail_bytes();
  std::memset(out, 0, matrix.tile_bytes);
  for (int lane = 0; lane < lanes(source, first_output); ++lane) {
    const int output = first_output + lane;
    const size_t first = static_cast<size_t>(output) * static_cast<size_t>(blocks);
    const uint8_t* zeros =
        source.zeros ? source.zeros + static_cast<size_t>(output) * zero_bytes : nullptr;
    for (int b = 0; b < blocks; ++b) {
      const size_t index = first + static_cast<size_t>(b);
      const uint8_t* from = static_cast<const uint8_t*>(source.weights) + index * bytes;
      uint8_t* block = out + step * static_cast<size_t>(b);
      uint8_t* end = block + bytes * kTile;
      if (source.bits == 4) {
        pack_halves(from, source.block, block + 4 * lane);
      } else {
        for (int k = 0; k < source.block; k += 4) {
          std::memcpy(block + k * kTile + 4 * lane, from + k, 4);
        }
      }
      const size_t width = matrix.half ? 2 : 4;
      std::memcpy(end + width * lane, static_cast<const uint8_t*>(source.scales) + width * index,
                  width);
      if (zeros) {
        uint8_t* points = end + width * kTile;
        if (source.bits == 8) {
          points[lane] = zeros[b];
        } else {
          const int zero = zeros[b / 2] >> (b % 2 * 4) & 15;
          points[lane % 8] |= static_cast<uint8_t>(zero << lane / 8 * 4);
        }
      }
    }
  }
}

}  // namespace

const char* refusal(const Source& source) {
  // Sums of integers hold in 32 bits up to here: 255 * 128 * 2^16 < 2^31.
  constexpr int kMost = 1 << 16;
  if (source.inputs < 1 || source.inputs >= kMost || source.outputs < 1) return "its size";
  if (source.inputs % kTile) return "a number of inputs that is no multiple of 16";
  switch (source.format) {
    case Format::kFloat:
      return nullptr;
    case Format::kStatic:
      for (const int zero : {source.input_zero, source.lower_zero}) {
        if (zero < 0 || zero > 255) return "a zero point beyond 8 bits";
      }
      return nullptr;
    case Format::kBlocks:
      if (source.bits != 4 && source.bits != 8) return "a number of bits other than 4 and 8";
      if (source.block < kGroup || source.block % kGroup) return "blocks of no multiple of 32";
      if (source.inputs % source.block) return "an incomplete block";
      return nullptr;
  }
  return "an unknown format";
}

Matrix describe(const Source& source) {
  Matrix m;
  m.format = source.format;
  m.inputs = source.inputs;
  m.outputs = source.outputs;
  const size_t inputs = static_cast<size_t>(source.inputs);
  if (source.format == Format::kFloat) {
    m.tile_bytes = inputs * kTile * sizeof(float);
  } else if (source.format == Format::kStatic) {
    m.bits = 8;
    m.input_zero = source.input_zero;
    m.input_scale = source.input_scale;
    m.lower_scale = source.lower_scale;
    m.lower_zero = source.lower_zero;
    m.tile_bytes = inputs * kTile;
  } else {
    m.bits = source.bits;
    m.block = source.block;
    m.zeros = source.zeros != nullptr;
    m.half = source.half != 0;
    const size_t block =
        static_cast<size_t>(source.block) * static_cast<size_t>(source.bits) / 8 * kTile +
        m.tail_bytes();
    m.tile_bytes = block * static_cast<size_t>(m.blocks());
  }
  return m;
}

void pack_tile(const Source& source, const Matrix& matrix, int first, uint8_t* out) {
  switch (source.format) {
    case Format::kFloat:
      return pack_float(source, first, reinterpret_cast<float*>(out));
    case Format::kStatic:
      return pack_static(source, first, out);
    case Format::kBlocks:
      return pack_blocks(source, matrix, first, out);
  }
}

}  // namespace chattts
