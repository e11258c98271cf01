// The table of functions of one instruction set; each unit that includes it is compiled for one.
#pragma once

#include "attention.h"
#include "elementwise.h"
#include "product.h"

namespace chattts {

template <class V>
Kernels table(const char* name) {
  return {name,       norm<V>, quantize_static<V>, quantize_wide<V>, quantize_blocks<V>,
          product<V>, gate<V>, store<V>,           attend<V>};
}

}  // namespace chattts
