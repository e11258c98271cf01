#include "lanes_avx512.h"
#include "table.h"

namespace chattts {

const Kernels* kernels_avx512() {
  static const Kernels kernels = table<Avx512>("avx512-vnni");
  return &kernels;
}

}  // namespace chattts
