#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace chattts {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();
// Weights below this have lost what tells them apart.
constexpr double kVanished = 1e-200;

struct Candidate {
  float score;
  int32_t token;
  double weight;
};

const int64_t* history_of(const Draws& d, int row, int head, int place) {
  return d.history + (static_cast<int64_t>(row) * d.window + place) * d.heads + head;
}

// A token counted n times has its score multiplied by penalty^n when negative, else divided.
void penalize(const Draws& d, int row, int head, std::vector<float>& scores) {
  if (d.penalty[row] == 1) return;
  for (int place = 0; place < d.window; ++place) {
    const int64_t token = *history_of(d, row, head, place);
    int count = 0;
    bool seen = token < 0;
    for (int other = 0; other < d.window; ++other) {
      if (*history_of(d, row, head, other) != token) continue;
      seen = seen || other < place;
      ++count;
    }
    if (seen) continue;
    const double alpha = std::pow(d.penalty[row], count);
    float& score = scores[static_cast<size_t>(token)];
    score = static_cast<float>(score < 0 ? score * alpha : score / alpha);
    if (std::isnan(score)) score = kRemoved;
  }
}

// All that reach the k-th largest score, ascending; equal ones by token.
std::vector<Candidate> largest(const std::vector<float>& scores, int64_t k) {
  float least = kRemoved;
  if (k < static_cast<int64_t>(scores.size())) {
    std::vector<float> order(scores);
    const auto place = order.end() - k;
    std::nth_element(order.begin(), place, order.end());
    least = *place;
  }
  std::vector<Candidate> found;
  for (size_t token = 0; token < scores.size(); ++token) {
    if (scores[token] >= least) found.push_back({scores[token], static_cast<int32_t>(token), 0});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  return found;
}

// Probabilities but for a common factor; 0 for what top-p or a forbidden end removes.
void weigh(const Draws& d, int row, const std::vector<float>& scores,
           std::vector<Candidate>& candidates) {
  const float top = candidates.back().score;
  double total = 0;
  for (const float score : scores) total += std::exp(score - top);
  double mass = 0;
  for (Candidate& c : candidates) mass += c.weight = std::exp(static_cast<double>(c.score - top));
  // What lies below the candidates enters the ascending sum as one number.
  const double below = total - mass;
  const double threshold = (1 - d.top_p[row]) * total;
  double running = below;
  Candidate best{kRemoved, -1, 0};  // of what is left
  size_t left = candidates.size();
  for (Candidate& c : candidates) {
    running += c.weight;
    const bool light = running <= threshold && left > static_cast<size_t>(d.least);
    if (light || (d.forbid_end[row] && c.token == d.end)) {
      c.weight = 0;
      c.score = kRemoved;
    } else {
      best = c;
    }
    --left;
  }
  // A forbidden end may have outweighed all others.
  if (best.weight >= kVanished) return;
  for (Candidate& c : candidates) c.weight = std::exp(static_cast<double>(c.score - best.score));
}

}  // namespace

const char* refusal(const Draws& d) {
  if (d.rows < 1 || d.heads < 1 || d.tokens < 1 || d.window < 0 || d.least < 1) return "a size";
  const int64_t count = static_cast<int64_t>(d.rows) * d.window * d.heads;
  if (std::any_of(d.history, d.history + count,
                  [&](int64_t token) { return token < -1 || token >= d.tokens; })) {
    return "a token that the vocabulary has not";
  }
  return nullptr;
}

int64_t draw(const Draws& d, int row, int head) {
  const size_t place =
      static_cast<size_t>(row) * static_cast<size_t>(d.heads) + static_cast<size_t>(head);
  const float* logits = d.logits + place * static_cast<size_t>(d.tokens);
  std::vector<float> scores(static_cast<size_t>(d.tokens));
  const auto temperature = static_cast<float>(d.temperature[row]);
  for (size_t token = 0; token < scores.size(); ++token) {
    if (!std::isfinite(logits[token])) return -1;
    scores[token] = logits[token] / temperature;
  }
  penalize(d, row, head, scores);
  const int64_t k = d.top_k[row] > 0 ? std::max<int64_t>(d.top_k[row], d.least) : d.tokens;
  std::vector<Candidate> candidates = largest(scores, k);
  weigh(d, row, scores, candidates);
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  // Rounding may bring u * sum up to the sum itself, beyond every candidate.
  const double target = std::min(d.uniforms[place] * sum, std::nextafter(sum, 0.0));
  double running = 0;
  for (const Candidate& c : candidates) {
    running += c.weight;
    if (running > target) return c.token;
  }
  return candidates.back().token;
}

}  // namespace chattts
