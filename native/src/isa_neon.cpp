#include "lanes_neon.h"
#include "table.h"

namespace chattts {

const Kernels* kernels_neon() {
  static const Kernels kernels = table<Neon>("neon-dotprod");
  return &kernels;
}

}  // namespace chattts
