// Real spherical harmonics of degree 0 to 3, in the order and with the signs of 3D Gaussian splatting.
//
// Every function in core/ is `static inline`: each translation unit keeps its own copy, so that a copy
// compiled for AVX2 can never be linked into the code that runs on machines without it.
#pragma once

#include <cmath>

#include "core/host_device.h"

namespace scenepress {

SP_HOST_DEVICE static inline bool is_finite(float value) { return fabsf(value) <= 3.402823466e38f; }

// One instruction each, unlike fmaxf and fminf; of a NaN and a number, the second argument.
SP_HOST_DEVICE static inline float larger(float a, float b) { return a > b ? a : b; }
SP_HOST_DEVICE static inline float smaller(float a, float b) { return a < b ? a : b; }

constexpr float kShBand0 = 0.28209479177387814f;

// basis: 15 floats, the functions of degree 1 to 3 (m = -l..l) at the unit vector (x, y, z); only those up
// to `degree` are written. Source: P.-P. Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2(2), 2013.
SP_HOST_DEVICE static inline void sh_basis(int degree, float x, float y, float z, float* basis) {
  if (degree < 1) return;
  basis[0] = -0.48860251190292f * y;
  basis[1] = 0.48860251190292f * z;
  basis[2] = -0.48860251190292f * x;
  if (degree < 2) return;
  const float zz = z * z;
  const float c2 = x * x - y * y, s2 = 2.f * x * y;  // cos and sin of 2 phi, times sin^2 theta
  basis[3] = 0.5462742152960395f * s2;
  basis[4] = -1.092548430592079f * z * y;
  basis[5] = 0.9461746957575601f * zz - 0.3153915652525201f;
  basis[6] = -1.092548430592079f * z * x;
  basis[7] = 0.5462742152960395f * c2;
  if (degree < 3) return;
  const float ring = -2.285228997322329f * zz + 0.4570457994644658f;
  basis[8] = -0.5900435899266435f * (x * s2 + y * c2);
  basis[9] = 1.445305721320277f * z * s2;
  basis[10] = ring * y;
  basis[11] = z * (1.865881662950577f * zz - 1.119528997770346f);
  basis[12] = ring * x;
  basis[13] = 1.445305721320277f * z * c2;
  basis[14] = -0.5900435899266435f * (x * c2 - y * s2);
}

// rgb = max(SH + 0.5, 0); false if that is not finite. sh0: 3 floats; shN: the coefficients beyond, r, g, b
// fastest. (x, y, z): from the camera to the splat, any length but zero.
SP_HOST_DEVICE static inline bool sh_color(int degree, const float* sh0, const float* shN, float x, float y,
                                           float z, float* rgb) {
  float basis[15];
  const float inverse_norm = 1.f / sqrtf(x * x + y * y + z * z);
  sh_basis(degree, x * inverse_norm, y * inverse_norm, z * inverse_norm, basis);
  const int count = (degree + 1) * (degree + 1) - 1;
  float r = kShBand0 * sh0[0] + 0.5f, g = kShBand0 * sh0[1] + 0.5f, b = kShBand0 * sh0[2] + 0.5f;
  for (int k = 0; k < count; ++k) {
    r += basis[k] * shN[3 * k];
    g += basis[k] * shN[3 * k + 1];
    b += basis[k] * shN[3 * k + 2];
  }
  rgb[0] = larger(r, 0.f);
  rgb[1] = larger(g, 0.f);
  rgb[2] = larger(b, 0.f);
  return is_finite(r) && is_finite(g) && is_finite(b);
}

}  // namespace scenepress
