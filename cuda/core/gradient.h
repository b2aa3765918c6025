// From what the pixels ask of a splat to what its parameters should do: the chain rule behind core/blend.h.
//
// Over its ellipse, ln alpha is a quadratic polynomial in the pixel offset. The derivative of a loss with respect
// to everything geometric about a splat therefore needs only six sums over pixels of s = dL / d ln alpha: of s
// times 1, a, a^2, dy, a dy, dy^2, with a = dx - shear dy as in Footprint. Three more, of weight times dL / d
// colour, make nine. The rasteriser gathers them; splat_gradient() does the rest, once per splat and view.
#pragma once

#include <cmath>

#include "core/blend.h"
#include "core/host_device.h"

namespace scenepress {

constexpr int kGradientSums = 9;  // s: 1, a, a^2, dy, a dy, dy^2; then red, green, blue

// Derivatives of the loss with respect to one splat's own parameters.
struct SplatGradient {
  float mean[3];
  float quat[4];  // of the quaternion as it is, whatever its length
  float log_scale[3];
  float opacity_logit;
  float sh0[3];
  float center[2];  // of the centre on the image, per px: what densification looks at
};

// An image and its opacity, or the derivatives of a loss with respect to them.
struct RasterImage {
  const float* color;  // [height, width, 3]
  const float* alpha;  // [height, width]
};

// Where derivatives go: arrays of the shapes of SplatArrays', and centers [count, 2].
struct GradientArrays {
  float *means, *quats, *log_scales, *opacity_logits, *sh0, *shN, *centers;
};

SP_HOST_DEVICE static inline void write_gradient(const SplatGradient& g, int64_t i, const GradientArrays& out) {
  for (int k = 0; k < 3; ++k) {
    out.means[3 * i + k] = g.mean[k];
    out.log_scales[3 * i + k] = g.log_scale[k];
    out.sh0[3 * i + k] = g.sh0[k];
  }
  for (int k = 0; k < 4; ++k) out.quats[4 * i + k] = g.quat[k];
  for (int k = 0; k < 2; ++k) out.centers[2 * i + k] = g.center[k];
  out.opacity_logits[i] = g.opacity_logit;
}

// A symmetric 2x2 matrix.
struct Symmetric2 {
  float xx, xy, yy;
};

// dL / dC of the covariance C on the image (full matrix, so that dL = sum of entries), and of the centre.
struct EllipseGradient {
  Symmetric2 covariance;
  float x, y;
};

SP_HOST_DEVICE static inline EllipseGradient ellipse_gradient(const Ellipse& e, float low_pass, bool antialiased,
                                                              const float* sums) {
  const float shear = e.c01 / e.c11, inverse = 1.f / e.det;
  const Symmetric2 q = {e.c11 * inverse, -e.c01 * inverse, e.c00 * inverse};  // C^-1
  const float sx = sums[1] + shear * sums[3], sy = sums[3];
  const Symmetric2 m = {sums[2] + shear * (2.f * sums[4] + shear * sums[5]), sums[4] + shear * sums[5], sums[5]};
  EllipseGradient out;
  out.x = q.xx * sx + q.xy * sy;
  out.y = q.xy * sx + q.yy * sy;
  // ln alpha = -d' Q d / 2 and dQ = -Q dC Q, so dL / dC = Q M Q / 2.
  const float u0 = q.xx * m.xx + q.xy * m.xy, u1 = q.xx * m.xy + q.xy * m.yy;
  const float v0 = q.xy * m.xx + q.yy * m.xy, v1 = q.xy * m.xy + q.yy * m.yy;
  out.covariance = {0.5f * (u0 * q.xx + u1 * q.xy), 0.5f * (u0 * q.xy + u1 * q.yy),
                    0.5f * (v0 * q.xy + v1 * q.yy)};
  const float plain_det = e.compensation * e.compensation * e.det;
  if (antialiased && plain_det > 0.f) {  // ln compensation = (ln det(C - low_pass) - ln det C) / 2
    const float half = 0.5f * sums[0], plain = half / plain_det;
    out.covariance.xx += plain * (e.c11 - low_pass) - half * q.xx;
    out.covariance.xy += -plain * e.c01 - half * q.xy;
    out.covariance.yy += plain * (e.c00 - low_pass) - half * q.yy;
  }
  return out;
}

// dL / dq of the quaternion (w, x, y, z) from dL / dR [9] of its rotation matrix: rotation_matrix() backwards.
SP_HOST_DEVICE static inline void quaternion_gradient(const float* q, const float* d, float* out) {
  const float inverse = 1.f / sqrtf(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
  const float w = q[0] * inverse, x = q[1] * inverse, y = q[2] * inverse, z = q[3] * inverse;
  const float g[4] = {
      2.f * (x * (d[7] - d[5]) + y * (d[2] - d[6]) + z * (d[3] - d[1])),
      2.f * (-2.f * x * (d[4] + d[8]) + y * (d[1] + d[3]) + z * (d[2] + d[6]) + w * (d[7] - d[5])),
      2.f * (x * (d[1] + d[3]) - 2.f * y * (d[0] + d[8]) + z * (d[5] + d[7]) + w * (d[2] - d[6])),
      2.f * (x * (d[2] + d[6]) + y * (d[5] + d[7]) - 2.f * z * (d[0] + d[4]) + w * (d[3] - d[1])),
  };
  // Its length does not matter, so nothing may push along it.
  const float along = g[0] * w + g[1] * x + g[2] * y + g[3] * z;
  out[0] = (g[0] - along * w) * inverse;
  out[1] = (g[1] - along * x) * inverse;
  out[2] = (g[2] - along * y) * inverse;
  out[3] = (g[3] - along * z) * inverse;
}

// Adds dL / d(x, y, z) of sh_basis() at the unit vector, from dL / dbasis [15]; functions beyond `degree` are not
// read.
SP_HOST_DEVICE static inline void sh_basis_gradient(int degree, float x, float y, float z, const float* d,
                                                    float* out) {
  if (degree < 1) return;
  constexpr float k1 = 0.48860251190292f;
  out[0] -= k1 * d[2], out[1] -= k1 * d[0], out[2] += k1 * d[1];
  if (degree < 2) return;
  constexpr float k2 = 1.092548430592079f, k20 = 1.8923493915151202f;
  const float xx_yy = x * x - y * y, xy2 = 2.f * x * y;
  out[0] += k2 * (y * d[3] + x * d[7] - z * d[6]);
  out[1] += k2 * (x * d[3] - y * d[7] - z * d[4]);
  out[2] += k20 * z * d[5] - k2 * (y * d[4] + x * d[6]);
  if (degree < 3) return;
  constexpr float k33 = 1.7701307697799304f, k32 = 1.445305721320277f;
  const float zz = z * z, ring = -2.285228997322329f * zz + 0.4570457994644658f, slope = -4.570457994644658f * z;
  // d (x s2 + y c2) = 3 (s2 dx + c2 dy), d (x c2 - y s2) = 3 (c2 dx - s2 dy), with c2 = x^2 - y^2, s2 = 2 x y.
  out[0] += -k33 * (xy2 * d[8] + xx_yy * d[14]) + k32 * z * 2.f * (y * d[9] + x * d[13]) + ring * d[12];
  out[1] += -k33 * (xx_yy * d[8] - xy2 * d[14]) + k32 * z * 2.f * (x * d[9] - y * d[13]) + ring * d[10];
  out[2] += k32 * (xy2 * d[9] + xx_yy * d[13]) + slope * (y * d[10] + x * d[12]) +
            (5.597644988851731f * zz - 1.119528997770346f) * d[11];
}

// dL / dsh0, dL / dshN [count of splats.sh_degree, 3], and what the colour's dependence on the direction adds to
// dL / dmean. rgb: dL / dcolour, of which channels that the renderer held at 0 are dropped.
SP_HOST_DEVICE static inline void color_gradient(const SplatArrays& splats, int64_t i, const Pinhole& camera,
                                                 const float* rgb, float* sh0, float* shN, float* mean) {
  const int degree = splats.sh_degree, count = (degree + 1) * (degree + 1) - 1;
  const float* own0 = splats.sh0 + 3 * i;
  const float* ownN = splats.shN + 3 * count * i;
  const float dx = static_cast<float>(splats.means[3 * i] - camera.eye[0]),
              dy = static_cast<float>(splats.means[3 * i + 1] - camera.eye[1]),
              dz = static_cast<float>(splats.means[3 * i + 2] - camera.eye[2]);
  const float inverse = 1.f / sqrtf(dx * dx + dy * dy + dz * dz), x = dx * inverse, y = dy * inverse,
              z = dz * inverse;
  float basis[15], slopes[15], color[3];
  sh_basis(degree, x, y, z, basis);
  for (int c = 0; c < 3; ++c) color[c] = kShBand0 * own0[c] + 0.5f;
  for (int k = 0; k < count; ++k)
    for (int c = 0; c < 3; ++c) color[c] += basis[k] * ownN[3 * k + c];
  float wanted[3];
  for (int c = 0; c < 3; ++c) {
    wanted[c] = color[c] > 0.f ? rgb[c] : 0.f;
    sh0[c] = kShBand0 * wanted[c];
  }
  for (int k = 0; k < count; ++k) {
    slopes[k] = 0.f;
    for (int c = 0; c < 3; ++c) {
      shN[3 * k + c] = basis[k] * wanted[c];
      slopes[k] += ownN[3 * k + c] * wanted[c];
    }
  }
  float turn[3] = {0.f, 0.f, 0.f};
  sh_basis_gradient(degree, x, y, z, slopes, turn);
  const float along = turn[0] * x + turn[1] * y + turn[2] * z;
  mean[0] += (turn[0] - along * x) * inverse;
  mean[1] += (turn[1] - along * y) * inverse;
  mean[2] += (turn[2] - along * z) * inverse;
}

// The way back through project(): from the ellipse to position, shape and rotation. point: of to_camera().
SP_HOST_DEVICE static inline void projection_gradient(const SplatShape& shape, const float* quat,
                                                      const double* point, const Pinhole& camera,
                                                      const EllipseGradient& d, SplatGradient* out) {
  const float* rotation = shape.rotation;
  float held[2];
  const float inverse_z = static_cast<float>(1. / point[2]);
  const float x_over_z = static_cast<float>(point[0] / point[2]),
              y_over_z = static_cast<float>(point[1] / point[2]);
  clamped_slopes(camera, point[0] / point[2], point[1] / point[2], held);
  const float jx = camera.fx * inverse_z, jy = camera.fy * inverse_z;
  float world[9], row_x[3], row_y[3];
  for (int k = 0; k < 9; ++k) world[k] = static_cast<float>(camera.rotation[k]);
  for (int k = 0; k < 3; ++k) {
    row_x[k] = jx * (world[k] - held[0] * world[6 + k]);
    row_y[k] = jy * (world[3 + k] - held[1] * world[6 + k]);
  }
  float by_row_x[3] = {}, by_row_y[3] = {}, by_rotation[9];
  for (int k = 0; k < 3; ++k) {  // the splat's own axes
    const float scale = shape.scales[k];
    const float a = scale * (row_x[0] * rotation[k] + row_x[1] * rotation[3 + k] + row_x[2] * rotation[6 + k]);
    const float b = scale * (row_y[0] * rotation[k] + row_y[1] * rotation[3 + k] + row_y[2] * rotation[6 + k]);
    const float by_a = 2.f * (d.covariance.xx * a + d.covariance.xy * b),
                by_b = 2.f * (d.covariance.xy * a + d.covariance.yy * b);
    out->log_scale[k] = by_a * a + by_b * b;
    for (int r = 0; r < 3; ++r) {
      by_row_x[r] += rotation[3 * r + k] * scale * by_a;
      by_row_y[r] += rotation[3 * r + k] * scale * by_b;
      by_rotation[3 * r + k] = scale * (row_x[r] * by_a + row_y[r] * by_b);
    }
  }
  quaternion_gradient(quat, by_rotation, out->quat);
  float by_jacobian = 0.f, by_slope_x = 0.f, by_slope_y = 0.f;  // jx and jy both scale with 1 / z
  for (int k = 0; k < 3; ++k) {
    by_jacobian += by_row_x[k] * row_x[k] + by_row_y[k] * row_y[k];
    by_slope_x -= jx * by_row_x[k] * world[6 + k];
    by_slope_y -= jy * by_row_y[k] * world[6 + k];
  }
  const float center_x = camera.fx * d.x, center_y = camera.fy * d.y;
  const float slope_x = center_x + (held[0] == x_over_z ? by_slope_x : 0.f),
              slope_y = center_y + (held[1] == y_over_z ? by_slope_y : 0.f);
  const float by_point[3] = {slope_x * inverse_z, slope_y * inverse_z,
                             -inverse_z * (slope_x * x_over_z + slope_y * y_over_z + by_jacobian)};
  for (int k = 0; k < 3; ++k)
    out->mean[k] = world[k] * by_point[0] + world[3 + k] * by_point[1] + world[6 + k] * by_point[2];
  out->center[0] = d.x;
  out->center[1] = d.y;
}

// All derivatives of splat i in one view. sums: [kGradientSums]; shN: [(degree + 1)^2 - 1, 3], written. False,
// with nothing written, if the splat cannot be seen.
SP_HOST_DEVICE static inline bool splat_gradient(const SplatArrays& splats, int64_t i, const Pinhole& camera,
                                                 const float* sums, SplatGradient* out, float* shN) {
  SplatShape shape;
  double point[3];
  Ellipse e;
  shape_of(splats, i, &shape);
  if (!to_camera(camera, splats.means + 3 * i, point) || !(shape.opacity > 0.f)) return false;
  if (!project(shape, point, camera, &e)) return false;
  const EllipseGradient by_ellipse = ellipse_gradient(e, camera.low_pass, splats.antialiased, sums);
  projection_gradient(shape, splats.quats + 4 * i, point, camera, by_ellipse, out);
  out->opacity_logit = sums[0] * (1.f - shape.opacity);
  color_gradient(splats, i, camera, sums + 6, out->sh0, shN, out->mean);
  return true;
}

}  // namespace scenepress
