// A block of splats through the field: compiled as it is, and for AVX2 with FMA.
#pragma once

#include <cstring>

#include "cpu/deformation_layers.h"

namespace scenepress {
namespace {

void deform_block(const DeformationField& field, const float* means, int64_t n, float time, float* out) {
  // Lanes beyond n hold zeros, and are thrown away.
  static thread_local float rooms[3][kMostWidth * kLanes];
  float *in = rooms[0], *other = rooms[1];
  float row[kMostWidth];
  std::memset(in, 0, sizeof(float) * size_t(field.features * kLanes));
  for (int64_t k = 0; k < n; ++k) {
    sample_planes(field, means + 3 * k, time, row);
    for (int32_t i = 0; i < field.features; ++i) in[i * kLanes + k] = row[i];
  }
  for (int32_t l = 0; l < field.layers; ++l) {
    apply_layer(field.trunk[l], in, true, other);
    float* const swapped = in;
    in = other;
    other = swapped;
  }
  int32_t first = 0;
  for (int32_t h = 0; h < field.heads; ++h) {
    const LinearLayer &hidden = field.head_layers[2 * h], &last = field.head_layers[2 * h + 1];
    apply_layer(hidden, in, true, other);
    apply_layer(last, other, false, rooms[2]);
    for (int64_t k = 0; k < n; ++k)
      for (int32_t o = 0; o < last.outputs; ++o) out[k * field.outputs + first + o] = rooms[2][o * kLanes + k];
    first += last.outputs;
  }
}

}  // namespace
}  // namespace scenepress
