// How much the image changes when a splat does: the diagonal of the Gauss-Newton matrix.
//
// Over its ellipse, ln alpha of a splat changes with each of its parameters by a quadratic polynomial in the
// whitened pixel offset u (sigma = |u|^2 / 2). The squared change of colour, summed over pixels, is therefore that
// polynomial's square against 15 moments of u, which the rasteriser gathers in one pass. The change of the
// view-dependent colour with the position is left out.
#pragma once

#include <cmath>

#include "core/blend.h"
#include "core/host_device.h"

namespace scenepress {

constexpr int kMoments = 15;    // of u1^i u2^j, i + j <= 4
constexpr int kShapeSlots = 9;  // position along, ln scale along, rotation about: each of the splat's own 3 axes
constexpr int kShapeLanes = 16;

// What one view says about one splat, summed over pixels.
struct PixelSums {
  float moments[kMoments];  // of (d colour / d ln alpha)^2, summed over r, g, b
  float weight;             // of alpha * transmittance
  float weight_squared;
  float weight_max;
};

// Where moments[] keeps u1^i u2^j.
SP_HOST_DEVICE static inline int moment_index(int i, int j) { return i + j * (11 - j) / 2; }

// u = (u1 * (dx - shear * dy), u2 * dy).
struct Whitening {
  float u1, u2;
};

SP_HOST_DEVICE static inline Whitening whitening(const Footprint& f) {
  return {sqrtf(f.along * (2.f / kLog2E)), sqrtf(f.across * (2.f / kLog2E))};
}

// In what follows, Real is a float or several of them, one for each parameter.

// d ln alpha / d parameter = constant + u1 x + u2 y + u11 x^2 + u12 x y + u22 y^2 at u = (x, y).
template <typename Real>
struct LogAlphaSlope {
  Real constant, u1, u2, u11, u12, u22;
};

// The sum of its square over pixels; rounding can take it a little below zero.
template <typename Real>
SP_HOST_DEVICE static inline Real square_against_moments(const LogAlphaSlope<Real>& s, const float* m) {
  // m[moment_index(i, j)] written out: 1, u1, u1^2, u1^3, u1^4; u2 times the first four; u2^2 times three; ...
  const Real line = m[2] * s.u1 * s.u1 + m[9] * s.u2 * s.u2 + 2.f * m[6] * s.u1 * s.u2;
  const Real bend = m[4] * s.u11 * s.u11 + m[11] * (s.u12 * s.u12 + 2.f * s.u11 * s.u22) + m[14] * s.u22 * s.u22 +
                    2.f * s.u12 * (m[8] * s.u11 + m[13] * s.u22);
  const Real both =
      s.u1 * (m[3] * s.u11 + m[7] * s.u12 + m[10] * s.u22) + s.u2 * (m[7] * s.u11 + m[10] * s.u12 + m[12] * s.u22);
  const Real mean = m[1] * s.u1 + m[5] * s.u2 + m[2] * s.u11 + m[6] * s.u12 + m[9] * s.u22;
  return s.constant * (m[0] * s.constant + 2.f * mean) + line + bend + 2.f * both;
}

// How the ellipse on the image changes with a parameter: its centre, px, and its covariance, px^2.
template <typename Real>
struct EllipseChange {
  Real x, y, c00, c01, c11;
};

template <typename Real>
SP_HOST_DEVICE static inline LogAlphaSlope<Real> log_alpha_slope(const Ellipse& e, float low_pass,
                                                                 bool antialiased, const EllipseChange<Real>& d) {
  // cov^-1 = L L', L = [[p, 0], [-p k, q]], u = L' (dx, dy); ln alpha changes by u.L'm + u'L'DLu / 2.
  const float k = e.c01 / e.c11, p = sqrtf(e.c11 / e.det), q = 1.f / sqrtf(e.c11);
  LogAlphaSlope<Real> out;
  out.u1 = p * (d.x - k * d.y);
  out.u2 = q * d.y;
  out.u11 = 0.5f * p * p * (d.c00 - 2.f * k * d.c01 + k * k * d.c11);
  out.u12 = p * q * (d.c01 - k * d.c11);
  out.u22 = 0.5f * q * q * d.c11;
  // d ln compensation
  const float plain_det = e.compensation * e.compensation * e.det;
  const bool compensated = antialiased && plain_det > 0.f;
  const float inverse = compensated ? 0.5f / plain_det : 0.f, share = compensated ? 1.f : 0.f;
  const Real adjugate = (e.c11 - low_pass) * d.c00 - 2.f * e.c01 * d.c01 + (e.c00 - low_pass) * d.c11;
  out.constant = inverse * adjugate - share * (out.u11 + out.u22);
  return out;
}

// One for each shape slot, in arrays that whole vectors fit.
struct ShapeChanges {
  alignas(32) float x[kShapeLanes], y[kShapeLanes], c00[kShapeLanes], c01[kShapeLanes], c11[kShapeLanes];

  SP_HOST_DEVICE inline void set(int slot, const EllipseChange<float>& change) {
    x[slot] = change.x;
    y[slot] = change.y;
    c00[slot] = change.c00;
    c01[slot] = change.c01;
    c11[slot] = change.c11;
  }
};

// The ellipse, and what its splat's shape slots change of it. False if the splat cannot be seen.
SP_HOST_DEVICE static inline bool shape_changes(const SplatShape& shape, const float* mean, const Pinhole& camera,
                                                Ellipse* e, ShapeChanges* changes) {
  double point[3];
  if (!to_camera(camera, mean, point) || !project(shape, point, camera, e)) return false;
  const float* rotation = shape.rotation;
  float axes[6], held[2], in_camera[9];
  image_axes(camera, point, rotation, axes);
  const float z = static_cast<float>(point[2]), x_over_z = static_cast<float>(point[0] / point[2]),
              y_over_z = static_cast<float>(point[1] / point[2]);
  clamped_slopes(camera, point[0] / point[2], point[1] / point[2], held);
  for (int r = 0; r < 3; ++r)
    for (int k = 0; k < 3; ++k) {
      const double* row = camera.rotation + 3 * r;
      in_camera[3 * r + k] =
          static_cast<float>(row[0] * rotation[k] + row[1] * rotation[3 + k] + row[2] * rotation[6 + k]);
    }

  float variance[3], hx = 0.f, hy = 0.f;  // (hx, hy): how the covariance turns when the slopes x/z, y/z change
  for (int k = 0; k < 3; ++k) {
    variance[k] = shape.scales[k] * shape.scales[k];
    hx += variance[k] * in_camera[6 + k] * axes[k];
    hy += variance[k] * in_camera[6 + k] * axes[3 + k];
  }
  const float jx = camera.fx / z, jy = camera.fy / z;
  for (int k = 0; k < 3; ++k) {
    const float dz = in_camera[6 + k] / z;
    const float move_x = in_camera[k] / z - x_over_z * dz, move_y = in_camera[3 + k] / z - y_over_z * dz;
    const float turn_x = held[0] == x_over_z ? jx * move_x : 0.f, turn_y = held[1] == y_over_z ? jy * move_y : 0.f;
    changes->set(
        k,
        {camera.fx * move_x, camera.fy * move_y, -2.f * (dz * (e->c00 - camera.low_pass) + turn_x * hx),
         -2.f * dz * e->c01 - turn_x * hy - turn_y * hx, -2.f * (dz * (e->c11 - camera.low_pass) + turn_y * hy)});
    const float ax = axes[k], ay = axes[3 + k], grow = 2.f * variance[k];
    changes->set(3 + k, {0.f, 0.f, grow * ax * ax, grow * ax * ay, grow * ay * ay});
    const int m = (k + 1) % 3, n = (k + 2) % 3;
    const float mix = variance[m] - variance[n];
    changes->set(6 + k,
                 {0.f, 0.f, 2.f * mix * axes[m] * axes[n], mix * (axes[m] * axes[3 + n] + axes[n] * axes[3 + m]),
                  2.f * mix * axes[3 + m] * axes[3 + n]});
  }
  return true;
}

}  // namespace scenepress
