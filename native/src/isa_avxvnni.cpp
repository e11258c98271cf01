#include "lanes_avx2.h"
#include "table.h"

namespace chattts {

const Kernels* kernels_avxvnni() {
  static const Kernels kernels = table<AvxVnni>("avx-vnni");
  return &kernels;
}

}  // namespace chattts
