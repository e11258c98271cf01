// Random models, ragged batches and ends of sequences: every position must give, bit for bit, what
// it gives alone in plain C++.   fuzz SECONDS [SEED]
//
// Meant to be compiled with sanitizers, too: all arrays have exactly the size that the interface
// asks for.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../src/api.h"

using namespace chattts;

namespace {

[[noreturn]] void fail(const char* what, unsigned seed) {
  std::printf("seed %u: %s\n", seed, what);
  std::exit(1);
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int number(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(engine_);
  }
  bool chance(int one_in) { return number(1, one_in) == 1; }
  float normal(float scale) { return std::normal_distribution<float>(0, scale)(engine_); }

 private:
  std::mt19937 engine_;
};

// A model's source with the arrays that it points to.
class RandomModel {
 public:
  explicit RandomModel(Random& random) : random_(random) {
    Sizes& s = source.sizes;
    s.layers = random.number(1, 2);
    s.hidden = 32 * random.number(1, 3);
    s.kv_heads = random.number(1, 2);
    s.heads = s.kv_heads * random.number(1, 2);
    s.width = 32 * random.number(1, 3);
    s.inner = 32 * random.number(1, 4);
    s.codes = random.number(1, 4);
    s.audio_tokens = random.number(2, 30);
    s.text_tokens = random.number(2, 30);
    s.positions = random.number(20, random.chance(8) ? 1100 : 300);
    s.speaker_token = random.number(0, s.text_tokens - 1);
    s.int8_cache = random.number(0, 1);
    source.text = table(s.text_tokens);
    source.code = table(s.codes * s.audio_tokens);
    source.cos = floats(s.positions * (s.width / 2), 1);
    source.sin = floats(s.positions * (s.width / 2), 1);
    source.norm = floats(s.hidden, 1);
    source.epsilon = 1e-6F;
    source.head = matrix(s.hidden, s.codes * s.audio_tokens);
    for (int i = 0; i < s.layers; ++i) {
      LayerSource layer{};
      layer.norm = floats(s.hidden, 1);
      layer.mlp_norm = floats(s.hidden, 1);
      layer.key_scales = scales(s.kv_heads * s.width);
      layer.value_scales = scales(s.kv_heads * s.width);
      layer.epsilon = layer.mlp_epsilon = 1e-6F;
      layer.qkv = matrix(s.hidden, (s.heads + 2 * s.kv_heads) * s.width);
      layer.output = matrix(s.heads * s.width, s.hidden);
      layer.gate_up = matrix(s.hidden, 2 * s.inner);
      layer.down = matrix(s.inner, s.hidden);
      layers_.push_back(layer);
    }
    source.layers = layers_.data();
    source.packed = nullptr;
  }

  ModelSource source{};

 private:
  const float* floats(int count, float scale) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = random_.normal(scale);
    floats_.push_back(std::move(values));
    return floats_.back().data();
  }
  const float* scales(int count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = 0.01F + 0.01F * static_cast<float>(random_.number(0, 9));
    floats_.push_back(std::move(values));
    return floats_.back().data();
  }
  const uint8_t* bytes(size_t count) {
    std::vector<uint8_t> values(count);
    for (uint8_t& value : values) value = static_cast<uint8_t>(random_.number(0, 255));
    bytes_.push_back(std::move(values));
    return bytes_.back().data();
  }
  const void* halves(size_t count) {  // from 2^-7 on
    std::vector<uint8_t> values(2 * count);
    for (size_t i = 0; i < values.size(); i += 2) {
      values[i] = static_cast<uint8_t>(random_.number(0, 255));
      values[i + 1] = static_cast<uint8_t>(0x20 + random_.number(0, 3));
    }
    bytes_.push_back(std::move(values));
    return bytes_.back().data();
  }
  Table table(int rows) {
    const int hidden = source.sizes.hidden;
    if (random_.chance(2)) return {floats(rows * hidden, 1), nullptr};
    return {bytes(static_cast<size_t>(rows) * static_cast<size_t>(hidden)), scales(rows)};
  }
  Source matrix(int inputs, int outputs) {
    Source m{};
    m.inputs = inputs;
    m.outputs = outputs;
    m.format = static_cast<Format>(random_.number(0, 2));
    m.bias = random_.chance(3) ? floats(outputs, 0.1F) : nullptr;
    const size_t cells = static_cast<size_t>(inputs) * static_cast<size_t>(outputs);
    if (m.format == Format::kFloat) {
      m.weights = floats(inputs * outputs, 0.2F);
    } else if (m.format == Format::kStatic) {
      std::vector<uint8_t> values(cells);
      const int limit = random_.chance(2) ? 64 : 128;
      for (uint8_t& v : values) v = static_cast<uint8_t>(random_.number(-limit, limit - 1));
      bytes_.push_back(std::move(values));
      m.weights = bytes_.back().data();
      m.scales = scales(outputs);
      m.input_scale = 0.02F;
      m.input_zero = random_.number(0, 255);
      if (random_.chance(2)) {
        m.lower_scale = m.input_scale / 255;
        m.lower_zero = random_.number(0, 255);
      }
    } else {
      m.bits = random_.chance(2) ? 4 : 8;
      m.block = inputs % 64 == 0 && random_.chance(2) ? 64 : 32;
      const size_t blocks = static_cast<size_t>(inputs / m.block);
      const size_t rows = static_cast<size_t>(outputs);
      const size_t bits = static_cast<size_t>(m.bits);
      m.weights = bytes(cells * bits / 8);
      m.half = random_.chance(2) ? 1 : 0;
      m.scales = m.half ? halves(rows * blocks) : floats(static_cast<int>(rows * blocks), 0.02F);
      if (random_.chance(2)) m.zeros = bytes(rows * ((blocks * bits + 7) / 8));
    }
    return m;
  }

  Random& random_;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<uint8_t>> bytes_;
  std::vector<LayerSource> layers_;
};

// One sequence: its inputs, and what each position gave alone.
struct Sequence {
  std::vector<int64_t> ids;
  std::vector<uint8_t> is_text;
  std::vector<float> hidden, logits;
  int length = 0;
  int done = 0;
  int slot = -1;
};

struct Batch {
  std::vector<int32_t> slots, places, speakers, selected;
  std::vector<int64_t> ids;
  std::vector<uint8_t> is_text;

  void add(const Sequence& from, const Sizes& s, int slot, int first, int count, bool select) {
    for (int i = first; i < first + count; ++i) {
      if (select) selected.push_back(static_cast<int32_t>(slots.size()));
      slots.push_back(slot);
      places.push_back(i);
      speakers.push_back(0);
      is_text.push_back(from.is_text[static_cast<size_t>(i)]);
      for (int c = 0; c < s.codes; ++c) {
        ids.push_back(from.ids[static_cast<size_t>(i * s.codes + c)]);
      }
    }
  }
  Positions positions(const float* voices) const {
    return {static_cast<int32_t>(slots.size()),
            static_cast<int32_t>(selected.size()),
            slots.data(),
            places.data(),
            ids.data(),
            is_text.data(),
            speakers.data(),
            voices,
            selected.data()};
  }
};

// What tokens are drawn with, but for the logits.
class RandomDraws {
 public:
  RandomDraws(Random& random, int rows, int heads, int tokens)
      : history(size(rows * kWindow * heads)),
        uniforms_(size(rows * heads)),
        temperature_(size(rows)),
        top_p_(size(rows)),
        penalty_(size(rows)),
        top_k_(size(rows)),
        forbid_(size(rows)) {
    for (int64_t& token : history) token = random.number(-1, tokens - 1);
    for (double& u : uniforms_) u = random.number(0, 1000) / 1000.0;
    for (size_t i = 0; i < size(rows); ++i) {
      temperature_[i] = random.number(1, 30) / 10.0;
      top_p_[i] = random.number(1, 10) / 10.0;
      top_k_[i] = random.number(0, 30);
      penalty_[i] = random.chance(4) ? 1e-300 : random.number(5, 20) / 10.0;
      forbid_[i] = static_cast<uint8_t>(random.number(0, 1));
    }
    all = {rows,          heads,           tokens,         kWindow,          3,
           tokens - 1,    nullptr,         history.data(), uniforms_.data(), temperature_.data(),
           top_p_.data(), penalty_.data(), top_k_.data(),  forbid_.data()};
  }
  RandomDraws(const RandomDraws&) = delete;
  RandomDraws& operator=(const RandomDraws&) = delete;

  Draws row(int index) const {
    Draws one = all;
    one.rows = 1;
    one.logits += index * one.heads * one.tokens;
    one.history += index * kWindow * one.heads;
    one.uniforms += index * one.heads;
    one.temperature += index;
    one.top_p += index;
    one.penalty += index;
    one.top_k += index;
    one.forbid_end += index;
    return one;
  }

  Draws all{};
  std::vector<int64_t> history;

 private:
  static constexpr int kWindow = 16;
  static size_t size(int count) { return static_cast<size_t>(count); }
  std::vector<double> uniforms_, temperature_, top_p_, penalty_;
  std::vector<int64_t> top_k_;
  std::vector<uint8_t> forbid_;
};

class Round {
 public:
  Round(unsigned seed, const char* instructions)
      : seed_(seed), random_(seed), model_(random_), sizes_(model_.source.sizes) {
    const int threads = random_.number(1, 4);
    make(instructions, threads, random_.number(0, 1), &fast_);
    make("scalar", 1, 0, &plain_);
    for (int i = 0; i < sizes_.hidden; ++i) voice_.push_back(random_.normal(1));
    outputs_ = sizes_.codes * sizes_.audio_tokens;
  }
  ~Round() {
    chattts_model_free(fast_);
    chattts_model_free(plain_);
  }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  int run() {
    refuse();
    sample();
    const int count = random_.number(1, 20);
    std::vector<Sequence> sequences(static_cast<size_t>(count));
    for (Sequence& sequence : sequences) alone(sequence);
    Cache* cache = nullptr;
    const int slots = random_.number(1, count);
    if (chattts_cache_new(fast_, slots, sizes_.positions, &cache)) fail("no cache", seed_);
    const int steps = together(cache, slots, sequences);
    chattts_cache_free(cache);
    return steps;
  }

 private:
  void make(const char* instructions, int threads, int spinning, Model** model) {
    const char* reason = chattts_model_new(&model_.source, instructions, threads, spinning, model);
    if (reason) fail(reason, seed_);
  }

  // What the interface must not take.
  void refuse() {
    Cache* cache = nullptr;
    if (chattts_cache_new(fast_, 1, 16, &cache)) fail("no cache", seed_);
    std::vector<int64_t> ids(static_cast<size_t>(sizes_.codes));
    int32_t slot = 0, place = 0, speaker = -1, selected = 0;
    uint8_t is_text = 0;
    Positions p{1, 1, &slot, &place, ids.data(), &is_text, &speaker, nullptr, &selected};
    const auto refused = [&](const char* what) {
      if (!chattts_run(fast_, cache, &p, nullptr, nullptr)) fail(what, seed_);
    };
    slot = 1;
    refused("a slot too many was taken");
    slot = -1;
    refused("a slot below 0 was taken");
    slot = 0;
    place = 16;
    refused("a position too many was taken");
    place = -1;
    refused("a position below 0 was taken");
    place = 0;
    ids[0] = sizes_.audio_tokens;
    refused("an unknown code was taken");
    is_text = 1;
    ids[0] = -1;
    refused("an unknown text id was taken");
    ids[0] = 0;
    selected = 1;
    refused("outputs of no position were taken");
    p.count = 0;
    refused("no positions were taken");
    if (!chattts_cache_move(cache, 0, 1, 1)) fail("a move out of the cache was taken", seed_);
    if (!chattts_cache_move(cache, 0, 0, 17)) fail("a length too long was taken", seed_);
    chattts_cache_free(cache);
    Model* none = nullptr;
    ModelSource odd = model_.source;
    odd.sizes.hidden += 1;
    if (!chattts_model_new(&odd, nullptr, 1, 0, &none)) fail("an odd size was taken", seed_);
  }

  // Many rows by all threads draw what each draws alone, whatever the numbers are.
  void sample() {
    const int rows = random_.number(1, 9), heads = random_.number(1, 5);
    const int tokens = random_.number(1, 40);
    const auto size = [](int count) { return static_cast<size_t>(count); };
    std::vector<float> logits(size(rows * heads * tokens));
    for (float& x : logits) x = random_.normal(random_.chance(9) ? 1e38F : 3);
    if (random_.chance(3)) logits[0] = random_.chance(2) ? NAN : INFINITY;
    RandomDraws draws(random_, rows, heads, tokens);
    draws.all.logits = logits.data();
    std::vector<int64_t> together(size(rows * heads)), alone(size(heads));
    if (chattts_sample(fast_, &draws.all, together.data())) fail("no tokens", seed_);
    for (int row = 0; row < rows; ++row) {
      const Draws one = draws.row(row);
      if (chattts_sample(plain_, &one, alone.data())) fail("no tokens", seed_);
      for (int head = 0; head < heads; ++head) {
        const int64_t token = alone[size(head)];
        if (token < -1 || token >= tokens) fail("a token beyond the vocabulary", seed_);
        if (token != together[size(row * heads + head)]) fail("a row draws something else", seed_);
      }
    }
    draws.history[0] = tokens;
    if (!chattts_sample(fast_, &draws.all, together.data())) {
      fail("an odd history was taken", seed_);
    }
  }

  void alone(Sequence& s) {
    s.length = random_.number(1, random_.chance(3) ? sizes_.positions : 20);
    for (int i = 0; i < s.length; ++i) {
      const bool text = random_.chance(2);
      s.is_text.push_back(text);
      for (int c = 0; c < sizes_.codes; ++c) {
        s.ids.push_back(random_.number(0, (text ? sizes_.text_tokens : sizes_.audio_tokens) - 1));
      }
    }
    s.hidden.resize(static_cast<size_t>(s.length * sizes_.hidden));
    s.logits.resize(static_cast<size_t>(s.length * outputs_));
    Cache* cache = nullptr;
    if (chattts_cache_new(plain_, 1, s.length, &cache)) fail("no cache", seed_);
    Batch batch;
    batch.add(s, sizes_, 0, 0, s.length, true);
    const Positions p = batch.positions(voice_.data());
    const char* reason = chattts_run(plain_, cache, &p, s.hidden.data(), s.logits.data());
    if (reason) fail(reason, seed_);
    chattts_cache_free(cache);
  }

  // Sequences join where there is room, go on by pieces, move, and some are cancelled.
  int together(Cache* cache, int slots, std::vector<Sequence>& sequences) {
    std::vector<Sequence*> rows(static_cast<size_t>(slots));
    size_t next = 0;
    int steps = 0;
    for (;; ++steps) {
      for (size_t slot = 0; slot < rows.size(); ++slot) {
        if (!rows[slot] && next < sequences.size() && !random_.chance(3)) {
          rows[slot] = &sequences[next++];
          rows[slot]->slot = static_cast<int>(slot);
        }
      }
      move(cache, rows);
      Batch batch;
      std::vector<std::pair<const Sequence*, int>> wanted;
      bool left = next < sequences.size();
      for (Sequence*& row : rows) {
        if (!row) continue;
        left = true;
        if (random_.chance(30)) {  // cancelled
          row = nullptr;
          continue;
        }
        const int most = random_.chance(4) ? row->length - row->done : 1;
        const int count = random_.number(1, most);
        const bool select = !random_.chance(5);
        batch.add(*row, sizes_, row->slot, row->done, count, select);
        for (int i = 0; select && i < count; ++i) wanted.emplace_back(row, row->done + i);
        row->done += count;
        if (row->done == row->length) row = nullptr;
      }
      if (!batch.slots.empty()) compare(cache, batch, wanted);
      if (!left) return steps;
    }
  }

  void move(Cache* cache, std::vector<Sequence*>& rows) {
    for (size_t from = 0; from < rows.size(); ++from) {
      const size_t to = static_cast<size_t>(random_.number(0, static_cast<int>(rows.size()) - 1));
      if (!rows[from] || rows[to]) continue;
      const char* reason =
          chattts_cache_move(cache, static_cast<int>(from), static_cast<int>(to), rows[from]->done);
      if (reason) fail(reason, seed_);
      rows[from]->slot = static_cast<int>(to);
      std::swap(rows[from], rows[to]);
    }
  }

  void compare(Cache* cache, const Batch& batch,
               const std::vector<std::pair<const Sequence*, int>>& wanted) {
    const size_t hidden_width = static_cast<size_t>(sizes_.hidden);
    const size_t width = static_cast<size_t>(outputs_);
    std::vector<float> hidden(wanted.size() * hidden_width), logits(wanted.size() * width);
    const Positions p = batch.positions(voice_.data());
    if (wanted.empty() || random_.chance(2)) {
      const char* reason = chattts_run(fast_, cache, &p, hidden.data(), logits.data());
      if (reason) fail(reason, seed_);
    } else {
      draw(cache, p, hidden, logits);
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      const auto& [sequence, position] = wanted[i];
      const size_t at = static_cast<size_t>(position);
      if (std::memcmp(&hidden[i * hidden_width], &sequence->hidden[at * hidden_width],
                      hidden_width * sizeof(float)) != 0 ||
          std::memcmp(&logits[i * width], &sequence->logits[at * width], width * sizeof(float)) !=
              0) {
        fail("a position differs from what it is alone", seed_);
      }
    }
  }

  // A step draws what its logits give apart.
  void draw(Cache* cache, const Positions& p, std::vector<float>& hidden,
            std::vector<float>& logits) {
    RandomDraws draws(random_, p.selected_count, sizes_.codes, sizes_.audio_tokens);
    std::vector<int64_t> found(static_cast<size_t>(p.selected_count * sizes_.codes));
    std::vector<int64_t> apart(found.size());
    Draws other = draws.all;
    other.rows += 1;
    if (!chattts_step(fast_, cache, &p, &other, hidden.data(), logits.data(), found.data())) {
      fail("draws of other outputs were taken", seed_);
    }
    const char* reason =
        chattts_step(fast_, cache, &p, &draws.all, hidden.data(), logits.data(), found.data());
    if (reason) fail(reason, seed_);
    draws.all.logits = logits.data();
    if (chattts_sample(plain_, &draws.all, apart.data())) fail("no tokens", seed_);
    if (found != apart) fail("a step draws something else", seed_);
  }

  const unsigned seed_;
  Random random_;
  RandomModel model_;
  const Sizes& sizes_;
  int outputs_ = 0;
  std::vector<float> voice_;
  Model* fast_ = nullptr;
  Model* plain_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 5;
  unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 0;
  std::vector<const char*> names;
  for (const char* name : {"avx512-vnni", "avx-vnni", "avx2", "neon-dotprod", "scalar"}) {
    if (chattts_instructions(name)) names.push_back(name);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  long steps = 0;
  unsigned rounds = 0;
  for (; rounds == 0 || passed() < seconds; ++rounds, ++seed) {
    // Two at once, as two bundles of a server are.
    const char* name = names[seed % names.size()];
    int other_steps = 0;
    std::thread other([&] { other_steps = Round(seed + 1000000, name).run(); });
    steps += Round(seed, name).run();
    other.join();
    steps += other_steps;
  }
  std::string all;
  for (const char* name : names) all += std::string(all.empty() ? "" : " ") + name;
  std::printf("%u models, %ld steps, every position as alone; %s\n", 2 * rounds, steps,
              all.c_str());
}
