// What follows from a splat's decoded shape: scales from coded numbers, steps of rotation and position.
// docs/spec/scale.md, rotation.md, refinement.md; integers only.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr int kSizes = 16, kKnots = 13, kRefinementBits = 24;
constexpr int64_t kScaleLimit = 1 << 15, kVectorUnit = 1 << 15;

struct ScaleCurve {
  int64_t origin;
  int32_t width[kSizes];      // > 0
  int64_t start[kSizes + 1];  // of each piece, in coded numbers
};

SP_HOST_DEVICE inline int64_t floor_div64(int64_t a, int64_t b) {  // b > 0
  const int64_t q = a / b;
  return q - (a - q * b < 0);
}

SP_HOST_DEVICE inline int64_t clamp64(int64_t v, int64_t low, int64_t high) {
  return v < low ? low : v > high ? high : v;
}

SP_HOST_DEVICE inline int32_t expand_scale(int32_t coded, const ScaleCurve& curve) {
  int i = 0;
  while (i < kSizes - 1 && curve.start[i + 1] <= coded) ++i;
  const int64_t within = floor_div64((coded - curve.start[i]) * 256 + (curve.width[i] >> 1), curve.width[i]);
  return static_cast<int32_t>(clamp64(curve.origin + 256 * i + within, -kScaleLimit, kScaleLimit));
}

// Step of a step code 0..255.
SP_HOST_DEVICE inline int32_t step_of(int code) {
  constexpr int32_t mantissas[16] = {16384, 17109, 17867, 18658, 19484, 20347, 21247, 22188,
                                     23170, 24196, 25268, 26386, 27554, 28774, 30048, 31379};
  return static_cast<int32_t>((int64_t{mantissas[code & 15]} << (code >> 4)) >> 14);
}

struct RotationSteps {
  const uint8_t* base;  // by class
  const uint8_t* gain;  // [kKnots]
  const uint8_t* lift;  // [kSizes]
  int64_t origin;
};

// Step of the component whose two other axes have scales a and b.
SP_HOST_DEVICE inline int32_t rotation_step(const RotationSteps& s, int importance, int32_t a, int32_t b) {
  const int64_t gap = a > b ? int64_t{a} - b : int64_t{b} - a, larger = a > b ? a : b;
  const int64_t knot = (gap + 64) >> 7;
  const int code = s.base[importance] + s.gain[knot < kKnots ? knot : kKnots - 1] +
                   s.lift[clamp64((larger - s.origin) >> 8, 0, kSizes - 1)];
  return step_of(code < 255 ? code : 255);
}

// Row-major rotation matrix times 2^30 of the quaternion whose vector part is (x, y, z) / 2^15.
// `root` is the floor of the square root of an integer below 2^31.
template <typename Root>
SP_HOST_DEVICE inline void rotation_matrix(int64_t x, int64_t y, int64_t z, Root root, int64_t m[9]) {
  x = clamp64(x, -kVectorUnit, kVectorUnit);
  y = clamp64(y, -kVectorUnit, kVectorUnit);
  z = clamp64(z, -kVectorUnit, kVectorUnit);
  const int64_t rest = (int64_t{1} << 30) - x * x - y * y - z * z, one = int64_t{1} << 29;
  const int64_t w = rest > 0 ? root(rest) : 0;
  m[0] = 2 * (one - y * y - z * z), m[1] = 2 * (x * y - w * z), m[2] = 2 * (x * z + w * y);
  m[3] = 2 * (x * y + w * z), m[4] = 2 * (one - x * x - z * z), m[5] = 2 * (y * z - w * x);
  m[6] = 2 * (x * z - w * y), m[7] = 2 * (y * z + w * x), m[8] = 2 * (one - x * x - y * y);
}

struct PositionSteps {
  const int32_t* offset;  // [3, classes]
  int64_t classes;
  const int32_t* slope;  // [3, 3]
  int64_t reach, cell;
};

// Exponents of the position steps of the three world axes, and the world axis of each rank of scale.
SP_HOST_DEVICE inline void position_exponents(const PositionSteps& s, int importance, const int32_t scale[3],
                                              const int64_t matrix[9], int64_t exponent[3], int64_t world[3]) {
  int rank[3] = {0, 1, 2};
  if (scale[rank[1]] < scale[rank[0]]) rank[0] = 1, rank[1] = 0;
  if (scale[rank[2]] < scale[rank[1]]) {
    const int last = rank[1];
    rank[1] = 2, rank[2] = last;
    if (scale[rank[1]] < scale[rank[0]]) {
      const int first = rank[0];
      rank[0] = rank[1], rank[1] = first;
    }
  }
  bool taken[3] = {false, false, false};
  for (int r = 0; r < 3; ++r) {
    int64_t best = -1;
    for (int i = 0; i < 3; ++i) {
      const int64_t m = matrix[3 * i + rank[r]], size = m < 0 ? -m : m;
      if (!taken[i] && size > best) best = size, world[r] = i;
    }
    taken[world[r]] = true;
    int64_t sum = 0;
    for (int j = 0; j < 3; ++j) sum += int64_t{s.slope[3 * r + j]} * scale[rank[j]];
    int64_t log = s.offset[r * s.classes + importance] + (sum >> 8);
    if (log > scale[rank[r]] + s.reach) log = scale[rank[r]] + s.reach;
    const int64_t least = s.cell - kRefinementBits > 1 ? s.cell - kRefinementBits : 1;
    exponent[world[r]] = clamp64(log >> 8, least, s.cell);
  }
}

}  // namespace scenepress
