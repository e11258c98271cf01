// Which instruction sets this machine has.
#include <cstring>

#include "kernels.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace chattts {
namespace {

struct Candidate {
  const Kernels* (*kernels)();
  bool (*runs)();
};

#if defined(__x86_64__)
// What GCC 12 and Clang 14 both know by no name.
struct Leaf {
  unsigned a, b = 0, c, d = 0;
  explicit Leaf(unsigned leaf, unsigned subleaf = 0) : a(leaf), c(subleaf) {
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  }
};
bool has_f16c() { return (Leaf(1).c >> 29 & 1U) != 0; }
// __builtin_cpu_supports also asks whether the system saves the registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}
bool has_avxvnni() { return has_avx2() && (Leaf(7, 1).a >> 4 & 1U) != 0; }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
bool has_dotprod() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
#else
  return true;  // every Apple processor with macOS on Arm
#endif
}
#endif

bool always() { return true; }

constexpr Candidate kCandidates[] = {
#if defined(__x86_64__)
    {kernels_avx512, has_avx512},
    {kernels_avxvnni, has_avxvnni},
    {kernels_avx2, has_avx2},
#elif defined(__aarch64__)
    {kernels_neon, has_dotprod},
#endif
    {kernels_scalar, always},
};

}  // namespace

const Kernels* choose_kernels(const char* name) {
  for (const Candidate& candidate : kCandidates) {
    if (!candidate.runs()) continue;
    const Kernels* kernels = candidate.kernels();
    if (!name || std::strcmp(name, kernels->name) == 0) return kernels;
  }
  return nullptr;
}

}  // namespace chattts
