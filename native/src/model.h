// The GPT: its packed weights, and a run of some positions of some sequences through it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cache.h"
#include "kernels.h"
#include "matrix.h"
#include "pack.h"
#include "pages.h"
#include "sampler.h"
#include "team.h"

namespace chattts {

struct Sizes {
  int32_t layers;
  int32_t hidden;
  int32_t heads;
  int32_t kv_heads;
  int32_t width;  // channels of a head
  int32_t inner;  // channels between gate and down projection
  int32_t codes;  // audio codes of a position
  int32_t audio_tokens;
  int32_t text_tokens;
  int32_t positions;  // rows of cos and sin
  int32_t speaker_token;
  int32_t int8_cache;
};

// An embedding table: [rows][hidden] float, or INT8 with a scale a row.  A step reads a row of it,
// so it stays where it is (in a mapped file) and has to outlive the model.
struct Table {
  const void* rows;
  const float* scales;  // null: float
};

struct LayerSource {
  const float* norm;  // [hidden] before attention
  const float* mlp_norm;
  const float* key_scales;  // [kv_heads][width] or null
  const float* value_scales;
  float epsilon;
  float mlp_epsilon;
  Source qkv;
  Source output;
  Source gate_up;
  Source down;
};

struct ModelSource {
  Sizes sizes;
  Table text;
  Table code;        // [codes * audio_tokens][hidden]
  const float* cos;  // [positions][width / 2]
  const float* sin;
  const float* norm;
  float epsilon;
  Source head;  // outputs: codes * audio_tokens
  const LayerSource* layers;
  void (*packed)(int32_t layer);  // called when a layer's source is not needed any more, or null
};

// Positions to run, each in its own place of the cache; those of one slot in ascending order.
struct Positions {
  int32_t count;
  int32_t selected_count;
  const int32_t* slots;     // [count]
  const int32_t* places;    // [count] how many positions of the slot come before
  const int64_t* ids;       // [count][codes]; a text position's id is the first
  const uint8_t* is_text;   // [count]
  const int32_t* speakers;  // [count] row of `voices`, -1: none
  const float* voices;      // [..][hidden]
  const int32_t* selected;  // [selected_count] ascending: positions whose outputs are wanted
};

class Model {
 public:
  // Null where all of `source` is known, else the reason.
  static const char* refusal(const ModelSource& source);
  // Packs all weights; the source may be freed afterwards, but for its tables.
  Model(const ModelSource& source, const Kernels& kernels, int threads, bool spinning);

  const Sizes& sizes() const { return sizes_; }
  const Kernels& kernels() const { return kernels_; }
  int threads() const { return team_.size(); }
  size_t bytes() const { return weights_.size(); }

  // Null where `positions` can be run over `cache`, else the reason.
  const char* refusal(const Cache& cache, const Positions& positions) const;
  // hidden [selected][hidden], logits [selected][codes * audio_tokens]; where there are draws, of
  // these logits, tokens [selected][codes], -1 where logits or the hidden state are not finite.
  void run(Cache& cache, const Positions& positions, float* hidden, float* logits,
           const Draws* draws = nullptr, int64_t* tokens = nullptr);
  // One token for each row and head.
  void sample(const Draws& draws, int64_t* tokens);

 private:
  struct Layer {
    const float* norm;
    const float* mlp_norm;
    const float* key_scales;
    const float* value_scales;
    float epsilon;
    float mlp_epsilon;
    Matrix qkv;
    Matrix output;
    Matrix gate_up;  // tiles of gate and up by turns
    Matrix down;
  };
  struct Chunk;
  struct Prepared;
  struct Workspace;

  void pack(const ModelSource& source);
  // `by_turns`: tiles of the outputs' first and second half by turns.
  Matrix pack_matrix(const Source& source, bool by_turns, uint8_t** place);
  void sum_weights(Matrix* matrix);
  const float* keep(const float* values, size_t count);

  std::vector<Phase> phases_of(Chunk& chunk);
  void add_layer(std::vector<Phase>& phases, const Chunk& chunk, int index);
  void embed(const Chunk& chunk, int row);
  void add_row(const Table& table, int64_t row, bool first, float* out) const;
  Prepared& rows_for(int rows, int thread);
  const float* normalize(Prepared& to, int row, const float* x, const float* gain,
                         float epsilon) const;
  void prepare(const Matrix& matrix, int row, const float* values, Prepared& to) const;
  template <class Values, class Use>
  void add_products(std::vector<Phase>& phases, const Matrix& matrix, int rows, int tiles,
                    Values values, Use use);
  void rotate_and_store(const Chunk& chunk, int layer, int row, int kv_head);
  Head head_of(const Chunk& chunk, int layer, int row, int kv_head) const;
  void attend(const Chunk& chunk, int layer, int row, int kv_head, int thread);

  const Sizes sizes_;
  const Kernels& kernels_;
  Team team_;
  Pages weights_;
  std::vector<std::unique_ptr<float[]>> kept_;
  std::vector<std::unique_ptr<int32_t[]>> kept_sums_;
  const Table text_;
  const Table code_;
  const float* cos_ = nullptr;
  const float* sin_ = nullptr;
  const float* norm_ = nullptr;
  float epsilon_ = 0;
  Matrix head_;
  std::vector<Layer> layers_;
  std::shared_ptr<Workspace> work_;
  std::mutex running_;
};

}  // namespace chattts
