// The learned context model of one splat: docs/spec/learned_context.md, integers only.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/context.h"
#include "core/host_device.h"

namespace scenepress {

constexpr int kFeatures = 42, kHidden = 16, kNearest = 4;
constexpr int kCommonRow = 8, kShapeRow = 19, kResidualRow = 22, kSizeRow = 32;
constexpr int kHiddenShift = 8, kHeadShift = 9, kCorrection = 1023;
constexpr int32_t kGapLimit = 1 << 22;

// 16 log2(m), linear between powers of two, rounded down: the bits of a float that holds m exactly.
SP_HOST_DEVICE inline int32_t log16(int32_t m) {  // 1 <= m < 2^24
  const float f = static_cast<float>(m);
  int32_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return (bits >> 19) - (127 << 4);
}

SP_HOST_DEVICE inline int32_t log16_wide(int64_t m) {  // 1 <= m < 2^53
  const double f = static_cast<double>(m);
  int64_t bits;
  memcpy(&bits, &f, sizeof(bits));
  return static_cast<int32_t>((bits >> 48) - (1023 << 4));
}

SP_HOST_DEVICE inline int32_t clamp_to(int32_t v, int32_t low, int32_t high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// 0..127: 16 log2(1 + 2 size / step).
SP_HOST_DEVICE inline int32_t squash_size(int32_t size, int32_t step) {
  const int32_t limited = size > kGapLimit ? kGapLimit : size;
  const int32_t v = log16(step + 2 * limited) - log16(step);
  return v > 127 ? 127 : v;
}

SP_HOST_DEVICE inline int32_t squash(int32_t difference, int32_t step) {  // |difference| <= 2^26
  const int32_t v = squash_size(difference < 0 ? -difference : difference, step);
  return difference < 0 ? -v : v;
}

// The four points nearest to `code`, as nearest_two; far: log16 of 1 + their squared distances.
SP_HOST_DEVICE inline void nearest_four(uint64_t code, const Point* coarse, int64_t m, int64_t at, int32_t* out,
                                        int32_t* far) {
  const Point p = unmorton(code);
  const int64_t first = at < kWindow ? 0 : at - kWindow, last = at + kWindow < m ? at + kWindow : m;
  int64_t best[kNearest];
  int32_t index[kNearest];
  int found = 0;
  for (int64_t i = first; i < last; ++i) {
    const int64_t dx = coarse[i].x - p.x, dy = coarse[i].y - p.y, dz = coarse[i].z - p.z;
    const int64_t d = dx * dx + dy * dy + dz * dz;
    if (found == kNearest && d >= best[kNearest - 1]) continue;
    int k = found < kNearest ? found++ : kNearest - 1;
    for (; k > 0 && d < best[k - 1]; --k) best[k] = best[k - 1], index[k] = index[k - 1];
    best[k] = d, index[k] = static_cast<int32_t>(i);
  }
  for (int k = 0; k < kNearest; ++k) {
    const int from = k < found ? k : found - 1;
    out[k] = index[from], far[k] = log16_wide(best[from] + 1);
  }
}

// floor(a / b) for |a| < 2^30, 0 < b < 2^18: the quotient of the doubles is at most one off; integers settle it.
SP_HOST_DEVICE inline int32_t floor_div_double(int32_t a, int32_t b) {
  const int32_t q = static_cast<int32_t>(static_cast<double>(a) / static_cast<double>(b));
  const int32_t rest = a - q * b;
  return q - (rest < 0) + (rest >= b);
}

}  // namespace scenepress
