#include "api.h"

#include <limits>
#include <new>
#include <system_error>

using chattts::Cache;
using chattts::CacheShape;
using chattts::Draws;
using chattts::Kernels;
using chattts::kTile;
using chattts::Model;
using chattts::ModelSource;
using chattts::Positions;

namespace {

constexpr const char* kNoMemory = "the system gives no more memory";

template <class Function>
const char* guarded(Function function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  } catch (const std::system_error&) {
    return "the system gives no more threads";
  }
}

}  // namespace

int chattts_abi() { return kChatttsAbi; }

const char* chattts_instructions(const char* wanted) {
  const Kernels* kernels = chattts::choose_kernels(wanted);
  return kernels ? kernels->name : nullptr;
}

const char* chattts_model_new(const ModelSource* source, const char* instructions, int threads,
                              int spinning, Model** model) {
  const Kernels* kernels = chattts::choose_kernels(instructions);
  if (!kernels) return "these instructions are not there";
  if (threads < 1) return "no threads";
  if (const char* reason = Model::refusal(*source)) return reason;
  return guarded([&]() -> const char* {
    *model = new Model(*source, *kernels, threads, spinning != 0);
    return nullptr;
  });
}

void chattts_model_free(Model* model) { delete model; }

size_t chattts_model_bytes(const Model* model) { return model->bytes(); }

const char* chattts_cache_new(const Model* model, int slots, int length, Cache** cache) {
  constexpr int kMost = std::numeric_limits<int>::max() / 2;
  if (slots < 1 || length < 1 || length > kMost) return "no room for a sequence";
  const chattts::Sizes& s = model->sizes();
  CacheShape shape;
  shape.layers = s.layers;
  shape.slots = slots;
  shape.heads = s.kv_heads;
  shape.length = (length + kTile - 1) / kTile * kTile;
  shape.width = s.width;
  shape.element = s.int8_cache ? 1 : sizeof(float);
  const double heads = 2.0 * s.layers * s.kv_heads * slots;
  if (heads > kMost || heads * shape.length * s.width * double(shape.element) > 1e15) {
    return kNoMemory;
  }
  return guarded([&]() -> const char* {
    *cache = new Cache(shape);
    return nullptr;
  });
}

void chattts_cache_free(Cache* cache) { delete cache; }

const char* chattts_cache_move(Cache* cache, int source, int destination, int length) {
  const CacheShape& shape = cache->shape();
  const auto outside = [&](int slot) { return slot < 0 || slot >= shape.slots; };
  if (outside(source) || outside(destination)) return "a slot that the cache has not";
  if (length < 0 || length > shape.length) return "a length beyond the cache";
  cache->move(source, destination, length);
  return nullptr;
}

const char* chattts_run(Model* model, Cache* cache, const Positions* positions, float* hidden,
                        float* logits) {
  if (const char* reason = model->refusal(*cache, *positions)) return reason;
  return guarded([&]() -> const char* {
    model->run(*cache, *positions, hidden, logits);
    return nullptr;
  });
}

const char* chattts_step(Model* model, Cache* cache, const Positions* positions, const Draws* draws,
                         float* hidden, float* logits, int64_t* tokens) {
  if (const char* reason = model->refusal(*cache, *positions)) return reason;
  const chattts::Sizes& s = model->sizes();
  Draws own = *draws;
  own.logits = logits;
  if (own.rows != positions->selected_count || own.heads != s.codes ||
      own.tokens != s.audio_tokens) {
    return "draws of other outputs";
  }
  if (const char* reason = chattts::refusal(own)) return reason;
  return guarded([&]() -> const char* {
    model->run(*cache, *positions, hidden, logits, &own, tokens);
    return nullptr;
  });
}

const char* chattts_sample(Model* model, const Draws* draws, int64_t* tokens) {
  if (const char* reason = chattts::refusal(*draws)) return reason;
  return guarded([&]() -> const char* {
    model->sample(*draws, tokens);
    return nullptr;
  });
}
