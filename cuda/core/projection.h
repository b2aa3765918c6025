// From a 3D Gaussian to its ellipse on the image: EWA splatting as in 3DGS, gsplat 1.5 conventions.
//
// Source: M. Zwicker et al., "EWA Splatting", IEEE TVCG 8(3), 2002; B. Kerbl et al., "3D Gaussian Splatting
// for Real-Time Radiance Field Rendering", ACM TOG 42(4), 2023. The determinant as a cross product is ours.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "core/sh.h"

namespace scenepress {

constexpr float kLowPass = 0.3f;     // px^2, what renderers add to both variances on the image
constexpr double kNearPlane = 0.01;  // scene units
constexpr double kFarPlane = 1e10;
constexpr float kFrustumMargin = 0.3f;  // of the half width: where the Jacobian stops following the centre

// A pinhole camera: x right, y down, z forward; the centre of the top left pixel is (0.5, 0.5).
struct Pinhole {
  double rotation[9];     // world to camera, row-major
  double translation[3];  // world to camera
  double eye[3];          // the camera in the world
  float fx, fy, cx, cy;   // px
  int width, height;      // px
  float low_pass;         // px^2, added to both variances on the image: kLowPass
};

// A scene in memory, arrays as in scenepress.scene.Splats.
struct SplatArrays {
  const float* means;           // [count, 3]
  const float* quats;           // [count, 4], w x y z, any length
  const float* log_scales;      // [count, 3]
  const float* opacity_logits;  // [count]
  const float* sh0;             // [count, 3]
  const float* shN;             // [count, (degree + 1)^2 - 1, 3]
  int64_t count;
  int sh_degree;  // 0 to 3
  bool antialiased;
};

// What a splat is from any side, made ready for projection.
struct SplatShape {
  float rotation[9];  // row-major, own axes in columns
  float scales[3];    // standard deviations along them
  float opacity;      // 0 if the splat is broken: nobody sees it
};

// One Gaussian on the image.
struct Ellipse {
  float x, y;           // centre, px
  float depth;          // along the optical axis, scene units
  float c00, c01, c11;  // covariance, px^2, low-pass filter included
  float det;            // of that covariance
  float compensation;   // sqrt(det without the filter / det with it)
};

// r: 9 floats, row-major. False if the quaternion (w, x, y, z) has no direction.
SP_HOST_DEVICE static inline bool rotation_matrix(const float* q, float* r) {
  const float norm2 = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
  const float inverse = 1.f / sqrtf(norm2);
  if (!(norm2 > 0.f) || !is_finite(inverse) || !is_finite(norm2)) return false;
  const float w = q[0] * inverse, x = q[1] * inverse, y = q[2] * inverse, z = q[3] * inverse;
  r[0] = 1.f - 2.f * (y * y + z * z);
  r[1] = 2.f * (x * y - w * z);
  r[2] = 2.f * (x * z + w * y);
  r[3] = 2.f * (x * y + w * z);
  r[4] = 1.f - 2.f * (x * x + z * z);
  r[5] = 2.f * (y * z - w * x);
  r[6] = 2.f * (x * z - w * y);
  r[7] = 2.f * (y * z + w * x);
  r[8] = 1.f - 2.f * (x * x + y * y);
  return true;
}

SP_HOST_DEVICE static inline float opacity_from_logit(float logit) { return 1.f / (1.f + expf(-logit)); }

SP_HOST_DEVICE static inline void shape_of(const SplatArrays& splats, int64_t i, SplatShape* out) {
  const float* log_scales = splats.log_scales + 3 * i;
  const bool whole = rotation_matrix(splats.quats + 4 * i, out->rotation) && is_finite(log_scales[0]) &&
                     is_finite(log_scales[1]) && is_finite(log_scales[2]);
  for (int k = 0; k < 3; ++k) out->scales[k] = expf(log_scales[k]);
  out->opacity = whole ? opacity_from_logit(splats.opacity_logits[i]) : 0.f;
}

// The centre in camera coordinates; false if it is not between the near and the far plane, or not finite.
SP_HOST_DEVICE static inline bool to_camera(const Pinhole& camera, const float* mean, double* point) {
  for (int i = 0; i < 3; ++i) {
    const double* row = camera.rotation + 3 * i;
    point[i] = row[0] * mean[0] + row[1] * mean[1] + row[2] * mean[2] + camera.translation[i];
  }
  return point[2] > kNearPlane && point[2] < kFarPlane;  // a NaN fails too
}

// The centre's slopes x/z and y/z, held within 1.3 half fields of view: beyond, the linearised projection
// would blow splats up.
SP_HOST_DEVICE static inline void clamped_slopes(const Pinhole& c, double x_over_z, double y_over_z,
                                                 float* slopes) {
  const float margin_x = kFrustumMargin * 0.5f * c.width / c.fx,
              margin_y = kFrustumMargin * 0.5f * c.height / c.fy;
  const float x = static_cast<float>(x_over_z), y = static_cast<float>(y_over_z);
  slopes[0] = smaller(larger(x, -c.cx / c.fx - margin_x), (c.width - c.cx) / c.fx + margin_x);
  slopes[1] = smaller(larger(y, -c.cy / c.fy - margin_y), (c.height - c.cy) / c.fy + margin_y);
}

// axes: 6 floats, row-major 2x3: column k is one of the splat's own unit axes k as it shows on the image, px per
// scene unit. `rotation` is the splat's, 3x3 row-major.
SP_HOST_DEVICE static inline void image_axes(const Pinhole& camera, const double* point, const float* rotation,
                                             float* axes) {
  const double inverse_z = 1. / point[2];
  float slopes[2];
  clamped_slopes(camera, point[0] * inverse_z, point[1] * inverse_z, slopes);
  const float jx = camera.fx * static_cast<float>(inverse_z), jy = camera.fy * static_cast<float>(inverse_z);
  float row_x[3], row_y[3];  // Jacobian times world-to-camera
  for (int k = 0; k < 3; ++k) {
    const float z_axis = static_cast<float>(camera.rotation[6 + k]);
    row_x[k] = jx * (static_cast<float>(camera.rotation[k]) - slopes[0] * z_axis);
    row_y[k] = jy * (static_cast<float>(camera.rotation[3 + k]) - slopes[1] * z_axis);
  }
  for (int k = 0; k < 3; ++k) {
    axes[k] = row_x[0] * rotation[k] + row_x[1] * rotation[3 + k] + row_x[2] * rotation[6 + k];
    axes[3 + k] = row_y[0] * rotation[k] + row_y[1] * rotation[3 + k] + row_y[2] * rotation[6 + k];
  }
}

// Covariance on the image from the splat's axes there (2x3) and its standard deviations along them.
SP_HOST_DEVICE static inline void image_covariance(const float* axes, const float* scales, float low_pass,
                                                   Ellipse* out) {
  const float a0 = axes[0] * scales[0], a1 = axes[1] * scales[1], a2 = axes[2] * scales[2];
  const float b0 = axes[3] * scales[0], b1 = axes[4] * scales[1], b2 = axes[5] * scales[2];
  const float c00 = a0 * a0 + a1 * a1 + a2 * a2;
  const float c11 = b0 * b0 + b1 * b1 + b2 * b2;
  // det = |a|^2 |b|^2 - (a.b)^2 = |a x b|^2: without the cancellation that ruins thin, slanted splats.
  const float n0 = a1 * b2 - a2 * b1, n1 = a2 * b0 - a0 * b2, n2 = a0 * b1 - a1 * b0;
  const float det = n0 * n0 + n1 * n1 + n2 * n2;
  out->c00 = c00 + low_pass;
  out->c01 = a0 * b0 + a1 * b1 + a2 * b2;
  out->c11 = c11 + low_pass;
  out->det = det + low_pass * (c00 + c11) + low_pass * low_pass;
  out->compensation = sqrtf(det / out->det);
}

// The ellipse of a splat whose centre is at `point` of to_camera(); false if it is not finite.
SP_HOST_DEVICE static inline bool project(const SplatShape& shape, const double* point, const Pinhole& camera,
                                          Ellipse* out) {
  out->x = static_cast<float>(camera.fx * point[0] / point[2] + camera.cx);
  out->y = static_cast<float>(camera.fy * point[1] / point[2] + camera.cy);
  out->depth = static_cast<float>(point[2]);
  float axes[6];
  image_axes(camera, point, shape.rotation, axes);
  image_covariance(axes, shape.scales, camera.low_pass, out);
  return is_finite(out->det) && is_finite(out->x) && is_finite(out->y);
}

}  // namespace scenepress
