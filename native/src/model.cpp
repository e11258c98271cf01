#include "model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace chattts {
namespace {

// Positions that go through a layer together: bounds the memory of a long prompt.
constexpr int kChunk = 128;
// Rows this few are prepared by each thread for itself, which is cheaper than to wait for another.
constexpr int kFewRows = 2;
// Bytes of weights that are asked for before a thread prepares the rows that meet them.
constexpr int kSoon = 4096;

size_t size(int count) { return static_cast<size_t>(count); }

Phase drawing(const Draws& draws, int64_t* tokens) {
  return {draws.rows * draws.heads, [&draws, tokens](int, int item) {
            tokens[item] = draw(draws, item / draws.heads, item % draws.heads);
          }};
}

// What was drawn for a row whose hidden state is not finite means nothing.
void refuse_rows(const float* hidden, int width, const Draws& draws, int64_t* tokens) {
  for (int row = 0; row < draws.rows; ++row, hidden += width, tokens += draws.heads) {
    if (!std::all_of(hidden, hidden + width, [](float x) { return std::isfinite(x); })) {
      std::fill_n(tokens, draws.heads, -1);
    }
  }
}

std::vector<float> floats(int rows, int columns) {
  return std::vector<float>(size(rows) * size(columns));
}

}  // namespace

// Rows of activations as a matrix reads them.
struct Model::Prepared {
  std::vector<float> normed, scales;
  std::vector<uint8_t> bytes;
  std::vector<int32_t> sums;
  const float* first_row = nullptr;  // of the activations before they are rounded

  Prepared(const Sizes& s, int rows)
      : normed(floats(rows, s.hidden)),
        scales(floats(rows, widest(s) / kTile)),
        bytes(2 * size(rows) * size(widest(s))),
        sums(scales.size()) {}

  static int widest(const Sizes& s) { return std::max({s.hidden, s.heads * s.width, s.inner}); }
};

// What lies between the phases of a chunk, and what each thread has for itself.
struct Model::Workspace {
  std::vector<float> x, qkv, attended, inner;
  Prepared shared;
  struct Own {
    Prepared few;
    std::vector<float> tile, second_tile, scores;
  };
  std::vector<Own> own;

  Workspace(const Sizes& s, int threads)
      : x(floats(kChunk, s.hidden)),
        qkv(floats(kChunk, (s.heads + 2 * s.kv_heads) * s.width)),
        attended(floats(kChunk, s.heads * s.width)),
        inner(floats(kChunk, s.inner)),
        shared(s, kChunk) {
    const std::vector<float> tile = floats(kChunk, kTile);
    const Own one{Prepared(s, kFewRows), tile, tile, floats(1, s.positions + 2 * kTile)};
    own.assign(size(threads), one);
  }
};

struct Model::Chunk {
  Cache& cache;
  const Positions& positions;
  int first;  // of its positions
  int rows;
  float* hidden;
  float* logits;
  bool apart = true;               // no two rows are of one slot
  std::vector<int> selected = {};  // of its rows

  int slot(int row) const { return positions.slots[first + row]; }
  int place(int row) const { return positions.places[first + row]; }
};

const char* Model::refusal(const ModelSource& source) {
  const Sizes& s = source.sizes;
  if (s.layers < 1 || s.hidden < 1 || s.heads < 1 || s.kv_heads < 1 || s.codes < 1) return "a size";
  if (s.hidden % kTile || s.inner % kTile) return "a number of channels that is no multiple of 16";
  if (s.width < kTile || s.width % kTile || s.width > 256) return "the width of its heads";
  if (s.heads % s.kv_heads) return "heads that are no multiple of the KV heads";
  const int attended = s.heads * s.width;
  const int packed = (s.heads + 2 * s.kv_heads) * s.width;
  const auto check = [](const Source& m, int inputs, int outputs) -> const char* {
    if (m.inputs != inputs || m.outputs != outputs) return "the shape of a weight";
    return chattts::refusal(m);
  };
  for (int i = 0; i < s.layers; ++i) {
    const LayerSource& layer = source.layers[i];
    if (s.int8_cache && (!layer.key_scales || !layer.value_scales)) return "a cache without scales";
    for (const char* reason :
         {check(layer.qkv, s.hidden, packed), check(layer.output, attended, s.hidden),
          check(layer.gate_up, s.hidden, 2 * s.inner), check(layer.down, s.inner, s.hidden)}) {
      if (reason) return reason;
    }
  }
  return check(source.head, s.hidden, s.codes * s.audio_tokens);
}

Model::Model(const ModelSource& source, const Kernels& kernels, int threads, bool spinning)
    : sizes_(source.sizes),
      kernels_(kernels),
      team_(threads, spinning),
      text_(source.text),
      code_(source.code) {
  const size_t hidden = size(sizes_.hidden);
  const size_t angles = size(sizes_.positions) * size(sizes_.width / 2);
  const size_t heads = size(sizes_.kv_heads) * size(sizes_.width);
  cos_ = keep(source.cos, angles);
  sin_ = keep(source.sin, angles);
  norm_ = keep(source.norm, hidden);
  epsilon_ = source.epsilon;
  for (int i = 0; i < sizes_.layers; ++i) {
    const LayerSource& from = source.layers[i];
    Layer layer{};
    layer.norm = keep(from.norm, hidden);
    layer.mlp_norm = keep(from.mlp_norm, hidden);
    layer.key_scales = keep(sizes_.int8_cache ? from.key_scales : nullptr, heads);
    layer.value_scales = keep(sizes_.int8_cache ? from.value_scales : nullptr, heads);
    layer.epsilon = from.epsilon;
    layer.mlp_epsilon = from.mlp_epsilon;
    layers_.push_back(layer);
  }
  pack(source);
  work_ = std::make_shared<Workspace>(sizes_, threads);
}

const float* Model::keep(const float* values, size_t count) {
  if (!values) return nullptr;
  kept_.push_back(std::make_unique<float[]>(count));
  std::copy(values, values + count, kept_.back().get());
  return kept_.back().get();
}

void Model::pack(const ModelSource& source) {
  const auto bytes = [](const Source& of) {
    const Matrix m = describe(of);
    return m.tile_bytes * size(m.tile_count());
  };
  size_t total = bytes(source.head);
  for (int i = 0; i < sizes_.layers; ++i) {
    const LayerSource& from = source.layers[i];
    total += bytes(from.qkv) + bytes(from.output) + bytes(from.gate_up) + bytes(from.down);
  }
  weights_ = Pages(total, Pages::Kind::kHuge);
  uint8_t* place = weights_.data();
  for (int i = 0; i < sizes_.layers; ++i) {
    const LayerSource& from = source.layers[i];
    Layer& to = layers_[size(i)];
    to.qkv = pack_matrix(from.qkv, false, &place);
    to.output = pack_matrix(from.output, false, &place);
    to.gate_up = pack_matrix(from.gate_up, true, &place);
    to.down = pack_matrix(from.down, false, &place);
    if (source.packed) source.packed(i);
  }
  head_ = pack_matrix(source.head, false, &place);
}

Matrix Model::pack_matrix(const Source& source, bool by_turns, uint8_t** place) {
  Matrix m = describe(source);
  uint8_t* tiles = *place;
  m.tiles = tiles;
  *place += m.tile_bytes * size(m.tile_count());
  const auto first = [&](int tile) {
    return by_turns ? tile % 2 * (m.outputs / 2) + tile / 2 * kTile : tile * kTile;
  };
  team_.run({{m.tile_count(), [&](int, int tile) {
                pack_tile(source, m, first(tile), tiles + m.tile_bytes * size(tile));
              }}});
  const auto column = [&](const float* values, float factor) {
    std::vector<float> result(size(m.tile_count() * kTile));
    for (int o = 0; o < m.outputs; ++o) {
      result[size(o)] = factor * values[first(o / kTile) + o % kTile];
    }
    return keep(result.data(), result.size());
  };
  if (source.bias) m.bias = column(source.bias, 1);
  if (source.format == Format::kStatic) {
    const auto* scales = static_cast<const float*>(source.scales);
    m.scales = column(scales, source.input_scale);
    if (m.lower_scale > 0) m.lower_scales = column(scales, source.lower_scale);
    sum_weights(&m);
  }
  return m;
}

void Model::sum_weights(Matrix* m) {
  const int outputs = m->tile_count() * kTile;
  kept_sums_.push_back(std::make_unique<int32_t[]>(size(outputs)));
  int32_t* sums = kept_sums_.back().get();
  std::vector<int32_t> largest(size(m->tile_count()));
  const auto sum_tile = [&](int, int index) {
    int32_t sum[4 * kTile] = {};
    int32_t most[4 * kTile] = {};
    const auto* tile = reinterpret_cast<const int8_t*>(m->tile(index));
    for (int k = 0; k < m->inputs * kTile; k += 4 * kTile) {
      for (int i = 0; i < 4 * kTile; ++i) {
        const int32_t weight = tile[k + i];
        sum[i] += weight;
        most[i] = std::max(most[i], std::abs(weight));
      }
    }
    for (int i = 0; i < 4 * kTile; ++i) sums[index * kTile + i / 4] += sum[i];
    largest[size(index)] = *std::max_element(most, most + 4 * kTile);
  };
  team_.run({{m->tile_count(), sum_tile}});
  m->sums = sums;
  m->narrow = *std::max_element(largest.begin(), largest.end()) <= 64;
}

const char* Model::refusal(const Cache& cache, const Positions& p) const {
  const CacheShape& shape = cache.shape();
  if (p.count < 1 || p.selected_count < 0) return "no positions";
  for (int i = 0; i < p.count; ++i) {
    if (p.slots[i] < 0 || p.slots[i] >= shape.slots) return "a slot that the cache has not";
    if (p.places[i] < 0 || p.places[i] >= std::min(shape.length, sizes_.positions)) {
      return "a position beyond the cache";
    }
    const int64_t* ids = p.ids + static_cast<ptrdiff_t>(i) * sizes_.codes;
    const int64_t limit = p.is_text[i] ? sizes_.text_tokens : sizes_.audio_tokens;
    for (int c = 0; c < (p.is_text[i] ? 1 : sizes_.codes); ++c) {
      if (ids[c] < 0 || ids[c] >= limit) return "an id that the model has not";
    }
  }
  for (int i = 0; i < p.selected_count; ++i) {
    const int least = i ? p.selected[i - 1] + 1 : 0;
    if (p.selected[i] < least || p.selected[i] >= p.count) return "outputs out of order";
  }
  return nullptr;
}

void Model::run(Cache& cache, const Positions& positions, float* hidden, float* logits,
                const Draws* draws, int64_t* tokens) {
  const std::lock_guard<std::mutex> alone(running_);
  int done = 0;
  for (int first = 0; first < positions.count; first += kChunk) {
    const size_t offset = size(done);
    Chunk chunk{cache,
                positions,
                first,
                std::min(kChunk, positions.count - first),
                hidden + offset * size(sizes_.hidden),
                logits + offset * size(head_.outputs)};
    std::vector<bool> seen(size(cache.shape().slots));
    for (int row = 0; row < chunk.rows; ++row) {
      chunk.apart = chunk.apart && !seen[size(chunk.slot(row))];
      seen[size(chunk.slot(row))] = true;
    }
    while (done < positions.selected_count && positions.selected[done] < first + chunk.rows) {
      chunk.selected.push_back(positions.selected[done++] - first);
    }
    std::vector<Phase> phases = phases_of(chunk);
    if (draws && first + chunk.rows == positions.count) phases.push_back(drawing(*draws, tokens));
    team_.run(phases);
  }
  if (draws) refuse_rows(hidden, sizes_.hidden, *draws, tokens);
}

void Model::sample(const Draws& draws, int64_t* tokens) {
  const Phase phase = drawing(draws, tokens);
  if (draws.rows <= kFewRows) {
    for (int item = 0; item < phase.items; ++item) phase.work(0, item);
    return;
  }
  const std::lock_guard<std::mutex> alone(running_);
  team_.run({phase});
}

std::vector<Phase> Model::phases_of(Chunk& chunk) {
  Workspace& w = *work_;
  const size_t hidden = size(sizes_.hidden);
  std::vector<Phase> phases{{chunk.rows, [&](int, int row) { embed(chunk, row); }}};
  for (int layer = 0; layer < sizes_.layers; ++layer) add_layer(phases, chunk, layer);
  const int wanted = static_cast<int>(chunk.selected.size());
  add_products(
      phases, head_, wanted, 1,
      [&, hidden](Prepared& to, int i) {
        const float* x = &w.x[size(chunk.selected[size(i)]) * hidden];
        return normalize(to, i, x, norm_, epsilon_);
      },
      [&, hidden, wanted](int tile, const float* normed, const float* out, const float*) {
        if (tile == 0) std::copy_n(normed, size(wanted) * hidden, chunk.hidden);
        const int first = tile * kTile;
        const int columns = std::min(kTile, head_.outputs - first);
        for (int i = 0; i < wanted; ++i, out += kTile) {
          std::copy_n(out, columns, chunk.logits + size(i) * size(head_.outputs) + first);
        }
      });
  return phases;
}

void Model::add_layer(std::vector<Phase>& phases, const Chunk& chunk, int index) {
  Workspace& w = *work_;
  const Layer& layer = layers_[size(index)];
  const int rows = chunk.rows;
  const size_t hidden = size(sizes_.hidden);
  const size_t packed = size(layer.qkv.outputs);
  const size_t attended = size(layer.output.inputs);
  const size_t inner = size(sizes_.inner);
  const auto normed = [this, &w, hidden](const float* gain, float epsilon) {
    return [=, this, &w](Prepared& to, int row) {
      return normalize(to, row, &w.x[size(row) * hidden], gain, epsilon);
    };
  };
  const auto add_to_x = [=, &w](int tile, const float*, const float* out, const float*) {
    for (int row = 0; row < rows; ++row, out += kTile) {
      float* x = &w.x[size(row) * hidden + size(tile) * kTile];
      for (int lane = 0; lane < kTile; ++lane) x[lane] += out[lane];
    }
  };

  add_products(phases, layer.qkv, rows, 1, normed(layer.norm, layer.epsilon),
               [=, &w](int tile, const float*, const float* out, const float*) {
                 for (int row = 0; row < rows; ++row, out += kTile) {
                   std::copy_n(out, kTile, &w.qkv[size(row) * packed + size(tile) * kTile]);
                 }
               });
  const int heads = sizes_.kv_heads;
  const auto store = [=, this, &chunk](int, int item) {
    rotate_and_store(chunk, index, item / heads, item % heads);
  };
  const auto look = [=, this, &chunk](int thread, int item) {
    attend(chunk, index, item / heads, item % heads, thread);
  };
  if (chunk.apart) {  // no row looks at what another stores
    phases.push_back({rows * heads, [=](int thread, int item) {
                        store(thread, item);
                        look(thread, item);
                      }});
  } else {
    phases.push_back({rows * heads, store});
    phases.push_back({rows * heads, look});
  }
  add_products(
      phases, layer.output, rows, 1,
      [=, &w](Prepared&, int row) { return &w.attended[size(row) * attended]; }, add_to_x);
  add_products(phases, layer.gate_up, rows, 2, normed(layer.mlp_norm, layer.mlp_epsilon),
               [=, this, &w](int pair, const float*, const float* gate, const float* up) {
                 for (int row = 0; row < rows; ++row, gate += kTile, up += kTile) {
                   float* out = &w.inner[size(row) * inner + size(pair) * kTile];
                   kernels_.gate(gate, up, kTile, out);
                 }
               });
  add_products(
      phases, layer.down, rows, 1,
      [=, &w](Prepared&, int row) { return &w.inner[size(row) * inner]; }, add_to_x);
}

Model::Prepared& Model::rows_for(int rows, int thread) {
  return rows <= kFewRows ? work_->own[size(thread)].few : work_->shared;
}

const float* Model::normalize(Prepared& to, int row, const float* x, const float* gain,
                              float epsilon) const {
  float* normed = &to.normed[size(row) * size(sizes_.hidden)];
  kernels_.norm(x, gain, epsilon, sizes_.hidden, normed);
  return normed;
}

// values(prepared, row) gives a row of activations, and rows lie one behind the other;
// use(item, first row, first tile's results, second one's) takes what each `tiles` neighbouring
// tiles gave.
template <class Values, class Use>
void Model::add_products(std::vector<Phase>& phases, const Matrix& matrix, int rows, int tiles,
                         Values values, Use use) {
  if (!rows) return;
  const auto prepare_row = [this, &matrix, values](Prepared& to, int row) {
    const float* x = values(to, row);
    prepare(matrix, row, x, to);
    if (row == 0) to.first_row = x;
  };
  Phase products{matrix.tile_count() / tiles, [=, this, &matrix](int thread, int item) {
                   const Prepared& prepared = rows_for(rows, thread);
                   const Activations input{prepared.first_row, prepared.bytes.data(),
                                           prepared.scales.data(), prepared.sums.data()};
                   Workspace::Own& own = work_->own[size(thread)];
                   float* out = own.tile.data();
                   float* second = own.second_tile.data();
                   kernels_.product(matrix, item * tiles, input, rows, out);
                   if (tiles == 2) kernels_.product(matrix, item * 2 + 1, input, rows, second);
                   use(item, prepared.first_row, out, second);
                 }};
  if (rows <= kFewRows) {
    products.begin = [=, this, &matrix](int thread, int first) {
      // Memory is at work meanwhile.
      const uint8_t* tile = matrix.tile(first * tiles);
      for (int line = 0; line < kSoon; line += 64) __builtin_prefetch(tile + line);
      for (int row = 0; row < rows; ++row) prepare_row(rows_for(rows, thread), row);
    };
  } else {
    phases.push_back(
        {rows, [=, this](int thread, int row) { prepare_row(rows_for(rows, thread), row); }});
  }
  phases.push_back(std::move(products));
}

void Model::prepare(const Matrix& matrix, int row, const float* values, Prepared& to) const {
  uint8_t* bytes = &to.bytes[size(row) * size(matrix.row_bytes())];
  if (matrix.lower_scale > 0) {
    kernels_.quantize_wide(values, matrix, bytes, &to.scales[size(row)]);
  } else if (matrix.format == Format::kStatic) {
    kernels_.quantize_static(values, matrix.inputs, matrix.input_scale, matrix.input_zero, bytes,
                             &to.scales[size(row)]);
  } else if (matrix.format == Format::kBlocks) {
    const size_t first = size(row) * size(matrix.blocks());
    kernels_.quantize_blocks(values, matrix.inputs, matrix.block, bytes, &to.scales[first],
                             &to.sums[first]);
  }
}

void Model::embed(const Chunk& chunk, int row) {
  const Positions& p = chunk.positions;
  const size_t hidden = size(sizes_.hidden);
  const size_t index = size(chunk.first + row);
  float* x = &work_->x[size(row) * hidden];
  const int64_t* ids = p.ids + index * size(sizes_.codes);
  if (!p.is_text[index]) {
    for (int c = 0; c < sizes_.codes; ++c) {
      add_row(code_, ids[c] + int64_t{c} * sizes_.audio_tokens, c == 0, x);
    }
    return;
  }
  const int speaker = p.speakers[index];
  if (ids[0] == sizes_.speaker_token && speaker >= 0) {
    const float* voice = p.voices + size(speaker) * hidden;
    float squares = 0;
    for (size_t i = 0; i < hidden; ++i) squares += voice[i] * voice[i];
    const float length = std::sqrt(squares);
    if (length > 0) {
      for (size_t i = 0; i < hidden; ++i) x[i] = voice[i] / std::max(length, 1e-12F);
      return;
    }
  }
  add_row(text_, ids[0], true, x);
}

void Model::add_row(const Table& table, int64_t row, bool first, float* out) const {
  const size_t hidden = size(sizes_.hidden);
  const size_t start = static_cast<size_t>(row) * hidden;
  const auto* integers = static_cast<const int8_t*>(table.rows) + start;
  const auto* floats = static_cast<const float*>(table.rows) + start;
  for (size_t i = 0; i < hidden; ++i) {
    const float value =
        table.scales ? static_cast<float>(integers[i]) * table.scales[row] : floats[i];
    out[i] = first ? value : out[i] + value;
  }
}

void Model::rotate_and_store(const Chunk& chunk, int layer, int row, int kv_head) {
  const int width = sizes_.width;
  const int half = width / 2;
  const int group = sizes_.heads / sizes_.kv_heads;
  const int place = chunk.place(row);
  const float* cos = cos_ + size(place) * size(half);
  const float* sin = sin_ + size(place) * size(half);
  float* queries = &work_->qkv[size(row) * size(layers_[size(layer)].qkv.outputs)];
  const auto rotate = [&](float* x) {
    for (int i = 0; i < half; ++i) {
      const float a = x[i];
      const float b = x[i + half];
      x[i] = a * cos[i] - b * sin[i];
      x[i + half] = b * cos[i] + a * sin[i];
    }
  };
  for (int h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    rotate(queries + h * width);
    const float scale = 1 / std::sqrt(static_cast<float>(width));
    for (int i = 0; i < width; ++i) queries[h * width + i] *= scale;
  }
  float* key = queries + (sizes_.heads + kv_head) * width;
  const float* value = queries + (sizes_.heads + sizes_.kv_heads + kv_head) * width;
  rotate(key);
  kernels_.store(head_of(chunk, layer, row, kv_head), place, key, value);
}

Head Model::head_of(const Chunk& chunk, int layer, int row, int kv_head) const {
  Head head = chunk.cache.head(layer, chunk.slot(row), kv_head);
  if (sizes_.int8_cache) {
    head.key_scales = layers_[size(layer)].key_scales + kv_head * sizes_.width;
    head.value_scales = layers_[size(layer)].value_scales + kv_head * sizes_.width;
  }
  return head;
}

void Model::attend(const Chunk& chunk, int layer, int row, int kv_head, int thread) {
  const int width = sizes_.width;
  const int group = sizes_.heads / sizes_.kv_heads;
  const float* queries = &work_->qkv[size(row) * size(layers_[size(layer)].qkv.outputs)];
  const Head head = head_of(chunk, layer, row, kv_head);
  for (int h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    kernels_.attend(head, chunk.place(row) + 1, queries + h * width,
                    work_->own[size(thread)].scores.data(),
                    &work_->attended[size(row * sizes_.heads + h) * size(width)]);
  }
}

}  // namespace chattts
