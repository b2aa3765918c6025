// A layer over a block of splats, one lane each.
#pragma once

#include "cpu/deformation.h"

namespace scenepress {
namespace {

constexpr int64_t kLanes = kDeformBlock;

// in [inputs][kLanes] -> out [outputs][kLanes].
void apply_layer(const LinearLayer& layer, const float* in, bool rectified, float* out) {
  for (int32_t o = 0; o < layer.outputs; ++o) {
    float sum[kLanes];
    for (float& s : sum) s = layer.bias[o];
    const float* weight = layer.weight + int64_t(o) * layer.inputs;
    for (int32_t i = 0; i < layer.inputs; ++i) {
      const float w = weight[i];
      const float* x = in + i * kLanes;
      for (int64_t k = 0; k < kLanes; ++k) sum[k] += w * x[k];
    }
    float* y = out + o * kLanes;
    for (int64_t k = 0; k < kLanes; ++k) y[k] = rectified && !(sum[k] > 0.f) ? 0.f : sum[k];
  }
}

}  // namespace
}  // namespace scenepress
