// Deformation fields of 4DGaussians: docs/dynamic.md. The twin of kernels/reference_deformation.py. Floats only:
// no symbol depends on them.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr int kPlanes = 6, kMostLevels = 16, kMostLayers = 16, kMostHeads = 5;
constexpr int kMostWidth = 512;  // of a layer, or of the features of all levels

// Of the planes: xy, xz, xt, yz, yt, zt.
SP_HOST_DEVICE inline int plane_first_axis(int plane) { return plane < 3 ? 0 : plane < 5 ? 1 : 2; }
SP_HOST_DEVICE inline int plane_second_axis(int plane) {
  return plane < 3 ? plane + 1 : plane < 5 ? plane - 1 : 3;
}

struct PlaneLevel {
  const float* planes[kPlanes];  // [second axis, first axis, channels] each
  int32_t channels, sides[4];    // x, y, z, t
};

struct LinearLayer {
  const float* weight;  // [outputs, inputs]
  const float* bias;
  int32_t inputs, outputs;
};

// Two layers a head, one after the other in `head_layers`.
struct DeformationField {
  float low[3], scale[3];  // of a point: (x - low) * scale - 1 is its place in the grid
  PlaneLevel level[kMostLevels];
  LinearLayer trunk[kMostLayers], head_layers[2 * kMostHeads];
  int32_t levels, layers, heads, features, outputs;  // features of all levels, outputs of all heads
};

// Texels before and after a coordinate of -1 to 1, and how far it is to the latter.
struct TexelStep {
  int32_t before, after;
  float part;
};

SP_HOST_DEVICE inline TexelStep texel_step(float x, int32_t size) {
  float at = (x + 1.f) * (0.5f * float(size - 1));
  at = at > 0.f ? at : 0.f;  // NaN too.
  at = at < float(size - 1) ? at : float(size - 1);
  const int32_t before = int32_t(at);
  return {before, before + 1 < size ? before + 1 : before, at - float(before)};
}

// The features of one point, one level after the other.
SP_HOST_DEVICE inline void sample_planes(const DeformationField& field, const float* mean, float time,
                                         float* features) {
  float at[4];
  for (int k = 0; k < 3; ++k) at[k] = (mean[k] - field.low[k]) * field.scale[k] - 1.f;
  at[3] = time;
  for (int l = 0; l < field.levels; ++l) {
    const PlaneLevel& level = field.level[l];
    for (int p = 0; p < kPlanes; ++p) {
      const int first = plane_first_axis(p), second = plane_second_axis(p);
      const TexelStep x = texel_step(at[first], level.sides[first]),
                      y = texel_step(at[second], level.sides[second]);
      const int64_t width = level.sides[first], c = level.channels;
      const float* a = level.planes[p] + (y.before * width + x.before) * c;
      const float* b = level.planes[p] + (y.before * width + x.after) * c;
      const float* d = level.planes[p] + (y.after * width + x.before) * c;
      const float* e = level.planes[p] + (y.after * width + x.after) * c;
      for (int32_t k = 0; k < c; ++k) {
        const float top = a[k] * (1.f - x.part) + b[k] * x.part;
        const float bottom = d[k] * (1.f - x.part) + e[k] * x.part;
        const float value = top * (1.f - y.part) + bottom * y.part;
        features[k] = p ? features[k] * value : value;
      }
    }
    features += level.channels;
  }
}

}  // namespace scenepress
