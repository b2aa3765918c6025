// What one splat adds to a pixel, and when it adds nothing: the rules of 3DGS blending.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "core/projection.h"
#include "core/sh.h"

namespace scenepress {

constexpr int kTile = 16;  // px, square
constexpr float kMaxAlpha = 0.999f;
constexpr float kMinAlpha = 1.f / 255.f;        // anything fainter is skipped
constexpr float kLog2MinAlpha = -7.994353437f;  // log2(1 / 255)
constexpr float kMinTransmittance = 1e-4f;      // a pixel is finished where it would go this low
constexpr float kLog2E = 1.442695041f;

// A splat ready to be blended: everything about it that a pixel needs, in one cache line.
//   log2 alpha(px, py) = log2_opacity - across * dy^2 - along * (dx - shear * dy)^2,  (dx, dy) = pixel - centre
// This is exp(-d' cov^-1 d / 2) completed to a square in dx: it cannot go negative, and thin slanted splats keep
// their precision.
struct alignas(64) Footprint {
  float x, y;           // centre, px
  float shear;          // px / px
  float along, across;  // px^-2, log2 e included
  float log2_opacity;   // after the antialiasing compensation, if any
  float rgb[3];
  float reach_x, reach_y;  // px: half extent of the region where alpha >= 1/255
  float tilt;              // px: dy at the region's rightmost point
  float depth;
  float cutoff;     // log2 units: the region is across * dy^2 + along * (...)^2 <= cutoff
  float half_unit;  // px: 1 / sqrt(along)
  uint32_t tiles;   // at most so many, by its bounding box
};

// How far cutoff (log2 units) and the bounds (px, and this part in a thousand of the size) lie outside the exact
// region, so that no rounding can drop a pixel.
constexpr float kBoundSlack = 1e-3f;

// False if alpha stays under 1/255 everywhere.
SP_HOST_DEVICE static inline bool shape_footprint(const Ellipse& e, float opacity, Footprint* out) {
  if (!(opacity >= kMinAlpha)) return false;
  out->x = e.x;
  out->y = e.y;
  out->depth = e.depth;
  out->shear = e.c01 / e.c11;
  out->along = 0.5f * kLog2E * e.c11 / e.det;
  out->across = 0.5f * kLog2E / e.c11;
  out->log2_opacity = log2f(opacity);
  out->cutoff = larger(out->log2_opacity - kLog2MinAlpha, 0.f) + kBoundSlack;
  out->half_unit = 1.f / sqrtf(out->along);
  const float radius = sqrtf(out->cutoff * (2.f / kLog2E));  // in standard deviations
  const float sigma_x = sqrtf(e.c00);
  out->reach_x = radius * sigma_x * (1.f + 1e-3f * kBoundSlack) + kBoundSlack;
  out->reach_y = radius * sqrtf(e.c11) * (1.f + 1e-3f * kBoundSlack) + kBoundSlack;
  out->tilt = radius * e.c01 / sigma_x;
  return is_finite(out->along) && is_finite(out->shear) && is_finite(out->reach_x) && is_finite(out->reach_y);
}

SP_HOST_DEVICE static inline bool on_image(const Footprint& f, int width, int height) {
  return f.x + f.reach_x > 0.f && f.x - f.reach_x < width && f.y + f.reach_y > 0.f && f.y - f.reach_y < height;
}

SP_HOST_DEVICE static inline int tiles_across(int pixels) { return (pixels + kTile - 1) / kTile; }

// Tiles, half-open.
struct TileRange {
  int begin, end;
};

// Tiles of kTile px that hold the centre of a pixel in [low, high], clamped to [0, count).
SP_HOST_DEVICE static inline TileRange tiles_between(float low, float high, int count) {
  const float inverse = 1.f / kTile;
  const float begin = smaller(larger(ceilf((low + 0.5f) * inverse) - 1.f, 0.f), static_cast<float>(count));
  const float end = smaller(larger(floorf((high - 0.5f) * inverse) + 1.f, 0.f), static_cast<float>(count));
  return {static_cast<int>(begin), static_cast<int>(end)};
}

SP_HOST_DEVICE static inline TileRange tile_rows(const Footprint& f, int count) {
  return tiles_between(f.y - f.reach_y, f.y + f.reach_y, count);
}

SP_HOST_DEVICE static inline TileRange tile_columns(const Footprint& f, int count) {
  return tiles_between(f.x - f.reach_x, f.x + f.reach_x, count);
}

// The tiles of tile row `row` that the ellipse alpha = 1/255 really enters: its extent in x over the pixel
// centres of those 16 rows. The right edge is concave in dy with its top at dy = tilt; the left one mirrors it.
SP_HOST_DEVICE static inline TileRange tile_columns_in_row(const Footprint& f, int row, int count) {
  const float top = larger(row * kTile + 0.5f - f.y, -f.reach_y);
  const float bottom = smaller(row * kTile + kTile - 0.5f - f.y, f.reach_y);
  const float dy_right = smaller(larger(f.tilt, top), bottom);
  const float dy_left = smaller(larger(-f.tilt, top), bottom);
  const float width_right =
      f.half_unit * sqrtf(larger(f.cutoff - f.across * dy_right * dy_right, 0.f)) + kBoundSlack;
  const float width_left = f.half_unit * sqrtf(larger(f.cutoff - f.across * dy_left * dy_left, 0.f)) + kBoundSlack;
  return tiles_between(larger(f.x + f.shear * dy_left - width_left, f.x - f.reach_x),
                       smaller(f.x + f.shear * dy_right + width_right, f.x + f.reach_x), count);
}

// Splat i, of this shape and with its centre at `point` of to_camera(), as the camera sees it; false if it cannot
// touch any pixel.
SP_HOST_DEVICE static inline bool make_footprint(const SplatArrays& splats, int64_t i, const SplatShape& shape,
                                                 const double* point, const Pinhole& camera, Footprint* out) {
  if (!(shape.opacity >= kMinAlpha)) return false;
  Ellipse ellipse;
  if (!project(shape, point, camera, &ellipse)) return false;
  const float seen = splats.antialiased ? shape.opacity * ellipse.compensation : shape.opacity;
  if (!shape_footprint(ellipse, seen, out) || !on_image(*out, camera.width, camera.height)) return false;
  const TileRange rows = tile_rows(*out, tiles_across(camera.height)),
                  columns = tile_columns(*out, tiles_across(camera.width));
  if (rows.end <= rows.begin || columns.end <= columns.begin) return false;
  out->tiles = static_cast<uint32_t>(rows.end - rows.begin) * static_cast<uint32_t>(columns.end - columns.begin);
  const float* mean = splats.means + 3 * i;
  const int extra = (splats.sh_degree + 1) * (splats.sh_degree + 1) - 1;
  return sh_color(splats.sh_degree, splats.sh0 + 3 * i, splats.shN + 3 * extra * i,
                  static_cast<float>(mean[0] - camera.eye[0]), static_cast<float>(mean[1] - camera.eye[1]),
                  static_cast<float>(mean[2] - camera.eye[2]), out->rgb);
}

// The same from the scene's arrays alone.
SP_HOST_DEVICE static inline bool make_footprint(const SplatArrays& splats, int64_t i, const Pinhole& camera,
                                                 Footprint* out) {
  double point[3];
  if (!to_camera(camera, splats.means + 3 * i, point)) return false;
  SplatShape shape;
  shape_of(splats, i, &shape);
  return make_footprint(splats, i, shape, point, camera, out);
}

// log2 of alpha at a pixel centre, before the limits.
SP_HOST_DEVICE static inline float log2_alpha(const Footprint& f, float px, float py) {
  const float dy = py - f.y;
  const float dx = px - (f.x + f.shear * dy);
  return f.log2_opacity - f.across * dy * dy - f.along * dx * dx;
}

}  // namespace scenepress
