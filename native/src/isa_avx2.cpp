#include "lanes_avx2.h"
#include "table.h"

namespace chattts {

const Kernels* kernels_avx2() {
  static const Kernels kernels = table<Avx2>("avx2");
  return &kernels;
}

}  // namespace chattts
