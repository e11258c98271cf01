// The C interface: what chattts_onnx binds by ctypes.  Functions that can fail return null or a
// static string that says why.
#pragma once

#include "cache.h"
#include "model.h"
#include "sampler.h"

#if defined(_WIN32)
#define CHATTTS_API extern "C" __declspec(dllexport)
#else
#define CHATTTS_API extern "C" __attribute__((visibility("default")))
#endif

// Changes with anything below or in the structures it takes.
inline constexpr int kChatttsAbi = 3;

CHATTTS_API int chattts_abi();
// Name of the instruction set: the fastest of this machine, or `wanted` where it has it, else null.
CHATTTS_API const char* chattts_instructions(const char* wanted);
CHATTTS_API const char* chattts_model_new(const chattts::ModelSource* source,
                                          const char* instructions, int threads, int spinning,
                                          chattts::Model** model);
CHATTTS_API void chattts_model_free(chattts::Model* model);
CHATTTS_API size_t chattts_model_bytes(const chattts::Model* model);
CHATTTS_API const char* chattts_cache_new(const chattts::Model* model, int slots, int length,
                                          chattts::Cache** cache);
CHATTTS_API void chattts_cache_free(chattts::Cache* cache);
CHATTTS_API const char* chattts_cache_move(chattts::Cache* cache, int source, int destination,
                                           int length);
CHATTTS_API const char* chattts_run(chattts::Model* model, chattts::Cache* cache,
                                    const chattts::Positions* positions, float* hidden,
                                    float* logits);
// A run, and a token for each head of its outputs, which the logits of `draws` become; -1 where
// those of a head, or the hidden state, are not finite.
CHATTTS_API const char* chattts_step(chattts::Model* model, chattts::Cache* cache,
                                     const chattts::Positions* positions,
                                     const chattts::Draws* draws, float* hidden, float* logits,
                                     int64_t* tokens);
// One token for each row and head, -1 where its logits are not finite: tokens [rows][heads].
CHATTTS_API const char* chattts_sample(chattts::Model* model, const chattts::Draws* draws,
                                       int64_t* tokens);
