#include "pack.h"

#include <cstring>

namespace chattts {
namespace {

constexpr int kGroup = 32;  // inputs that 4-bit tiles keep together

// The source's output of each lane of a tile, -1 beyond the last.
struct Lanes {
  int output[kTile];

  Lanes(const Matrix& matrix, int tile, const int32_t* order) {
    for (int lane = 0; lane < kTile; ++lane) {
      const int index = tile * kTile + lane;
      output[lane] = index >= matrix.outputs ? -1 : order ? order[index] : index;
    }
  }
};

template <class Element>
Element at(const Source& source, int input, int output) {
  const size_t place = static_cast<size_t>(input) * static_cast<size_t>(source.outputs);
  return static_cast<const Element*>(source.weights)[place + static_cast<size_t>(output)];
}

void pack_float(const Source& source, const Lanes& lanes, float* out) {
  for (int k = 0; k < source.inputs; ++k) {
    for (const int output : lanes.output) *out++ = output < 0 ? 0 : at<float>(source, k, output);
  }
}

void pack_static(const Source& source, const Lanes& lanes, uint8_t* out) {
  for (int k = 0; k < source.inputs; k += 4) {
    for (const int output : lanes.output) {
      for (int i = 0; i < 4; ++i) {
        const int8_t weight = output < 0 ? int8_t{0} : at<int8_t>(source, k + i, output);
        *out++ = static_cast<uint8_t>(weight);
      }
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

void pack_blocks(const Source& source, const Matrix& matrix, const Lanes& lanes, uint8_t* out) {
  const int blocks = matrix.blocks();
  const size_t bytes =
      static_cast<size_t>(source.block) * static_cast<size_t>(source.bits) / 8;  // of one output
  const size_t zero_bytes = static_cast<size_t>((blocks * source.bits + 7) / 8);
  const size_t step = bytes * kTile + size_t{matrix.zeros ? 5U : 4U} * kTile;
  std::memset(out, 0, matrix.tile_bytes);
  for (int lane = 0; lane < kTile; ++lane) {
    const int output = lanes.output[lane];
    if (output < 0) continue;
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
      std::memcpy(end + 4 * lane, source.scales + index, 4);
      if (zeros) {
        end[4 * kTile + lane] =
            source.bits == 8 ? zeros[b] : static_cast<uint8_t>(zeros[b / 2] >> (b % 2 * 4) & 15);
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
      return source.input_zero < 0 || source.input_zero > 255 ? "a zero point beyond 8 bits"
                                                              : nullptr;
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
    m.tile_bytes = inputs * kTile;
  } else {
    m.bits = source.bits;
    m.block = source.block;
    m.zeros = source.zeros != nullptr;
    const size_t tail = size_t{m.zeros ? 5U : 4U} * kTile;
    const size_t block =
        static_cast<size_t>(source.block) * static_cast<size_t>(source.bits) / 8 * kTile + tail;
    m.tile_bytes = block * static_cast<size_t>(m.blocks());
  }
  return m;
}

void pack_tile(const Source& source, const Matrix& matrix, int tile, const int32_t* order,
               uint8_t* out) {
  const Lanes lanes(matrix, tile, order);
  switch (source.format) {
    case Format::kFloat:
      return pack_float(source, lanes, reinterpret_cast<float*>(out));
    case Format::kStatic:
      return pack_static(source, lanes, out);
    case Format::kBlocks:
      return pack_blocks(source, matrix, lanes, out);
  }
}

}  // namespace chattts
