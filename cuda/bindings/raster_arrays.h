// What the bindings of both rasterisers take: a scene and a camera, their shapes checked.
#pragma once

#include <stdexcept>

#include "bindings/arrays.h"
#include "core/projection.h"

namespace scenepress {

struct SceneArrays {
  Input2<float> means, quats, log_scales;
  Input1<float> opacity_logits;
  Input2<float> sh0;
  Input3<float> shN;
  bool antialiased;

  SplatArrays arrays() const {
    const size_t n = means.shape(0), extra = shN.shape(1);
    const int degree = extra == 0 ? 0 : extra == 3 ? 1 : extra == 8 ? 2 : extra == 15 ? 3 : -1;
    const bool fits = means.shape(1) == 3 && quats.shape(0) == n && quats.shape(1) == 4 &&
                      log_scales.shape(0) == n && log_scales.shape(1) == 3 && opacity_logits.shape(0) == n &&
                      sh0.shape(0) == n && sh0.shape(1) == 3 && shN.shape(0) == n && shN.shape(2) == 3 &&
                      degree >= 0 && n < (1u << 31);
    if (!fits) throw std::invalid_argument("splat arrays do not fit each other");
    return {means.data(), quats.data(), log_scales.data(),       opacity_logits.data(),
            sh0.data(),   shN.data(),   static_cast<int64_t>(n), degree,
            antialiased};
  }
};

// v: [4, 4], world to camera; intrinsics: fx fy cx cy.
inline Pinhole pinhole(const double* v, const double* intrinsics, int width, int height,
                       float low_pass = kLowPass) {
  if (width < 1 || height < 1 || width > 32768 || height > 32768)
    throw std::invalid_argument("width and height must be in [1, 32768]");
  Pinhole camera;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) camera.rotation[3 * i + j] = v[4 * i + j];
    camera.translation[i] = v[4 * i + 3];
  }
  for (int i = 0; i < 3; ++i) camera.eye[i] = -(v[i] * v[3] + v[4 + i] * v[7] + v[8 + i] * v[11]);
  camera.fx = static_cast<float>(intrinsics[0]);
  camera.fy = static_cast<float>(intrinsics[1]);
  camera.cx = static_cast<float>(intrinsics[2]);
  camera.cy = static_cast<float>(intrinsics[3]);
  camera.width = width;
  camera.height = height;
  camera.low_pass = low_pass;
  return camera;
}

inline Pinhole pinhole(const Input2<double>& view, const Input1<double>& intrinsics, int width, int height) {
  if (view.shape(0) != 4 || view.shape(1) != 4 || intrinsics.shape(0) != 4)
    throw std::invalid_argument("view must be [4, 4], intrinsics [4]");
  return pinhole(view.data(), intrinsics.data(), width, height);
}

}  // namespace scenepress
