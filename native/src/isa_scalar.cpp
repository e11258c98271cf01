#include "lanes_scalar.h"
#include "table.h"

namespace chattts {

const Kernels* kernels_scalar() {
  static const Kernels kernels = table<Scalar>("scalar");
  return &kernels;
}

}  // namespace chattts
