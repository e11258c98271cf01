// ChatTTS's sampler: the rules and their order are those of chattts_onnx/decoding/sampling.py,
// which tests hold this to.
#pragma once

#include <cstdint>

namespace chattts {

// What the tokens of one step are drawn from, for `rows` rows of `heads` heads.
struct Draws {
  int32_t rows;
  int32_t heads;
  int32_t tokens;          // of the vocabulary
  int32_t window;          // tokens of a head's history
  int32_t least;           // candidates that top-p and top-k keep in any case
  int32_t end;             // the token that ends a sequence
  const float* logits;     // [rows][heads][tokens]
  const int64_t* history;  // [rows][window][heads], -1: none yet
  const double* uniforms;  // [rows][heads] in [0, 1)
  const double* temperature;
  const double* top_p;
  const double* penalty;
  const int64_t* top_k;       // 0: off
  const uint8_t* forbid_end;  // [rows]
};

// Null where all of it is in range, else the reason.
const char* refusal(const Draws& draws);
// The token of one head; -1 where its logits are not finite.
int64_t draw(const Draws& draws, int row, int head);

}  // namespace chattts
