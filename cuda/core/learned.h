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

constexpr int64_t kCoordinates = 1 << 21, kMoved = 699051;

// Bits 0, 1, 2, ... of a coordinate to bits 0, 3, 6, ...
SP_HOST_DEVICE inline uint64_t spread_bits(int64_t coordinate) {
  uint64_t v = static_cast<uint64_t>(coordinate);
  v = (v | (v << 32)) & 0x1F00000000FFFFu;
  v = (v | (v << 16)) & 0x1F0000FF0000FFu;
  v = (v | (v << 8)) & 0x100F00F00F00F00Fu;
  v = (v | (v << 4)) & 0x10C30C30C30C30C3u;
  return (v | (v << 2)) & 0x1249249249249249u;
}

// The Morton code of a point in a grid that is moved, so that other points are near it in the order of codes.
SP_HOST_DEVICE inline uint64_t moved_code(const Point& p) {
  const int64_t mask = kCoordinates - 1;
  return spread_bits((p.x + kMoved) & mask) << 2 | spread_bits((p.y + kMoved) & mask) << 1 |
         spread_bits((p.z + kMoved) & mask);
}

// The four points nearest to another one: those with the least (squared distance, index).
struct Nearest {
  int64_t distance[kNearest];
  int32_t index[kNearest];
  int found;

  SP_HOST_DEVICE void add(const Point& p, const Point& candidate, int32_t i) {
    const int64_t dx = candidate.x - p.x, dy = candidate.y - p.y, dz = candidate.z - p.z;
    const int64_t d = dx * dx + dy * dy + dz * dz;
    const auto before = [&](int k) { return d < distance[k] || (d == distance[k] && i < index[k]); };
    if (found == kNearest && !before(kNearest - 1)) return;
    int k = found < kNearest ? found++ : kNearest - 1;
    for (; k > 0 && before(k - 1); --k) distance[k] = distance[k - 1], index[k] = index[k - 1];
    distance[k] = d, index[k] = i;
  }
};

// `at` and `moved_at` are how many of the m coarse codes, and of their moved codes, are smaller than those of
// `code`; moved: the indices in the order of moved codes. far: log16 of 1 + the squared distances.
SP_HOST_DEVICE inline void nearest_four(uint64_t code, const Point* coarse, int64_t m, int64_t at,
                                        const int32_t* moved, int64_t moved_at, int32_t* out, int32_t* far) {
  const Point p = unmorton(code);
  const int64_t first = at < kWindow ? 0 : at - kWindow, last = at + kWindow < m ? at + kWindow : m;
  Nearest best{};
  for (int64_t i = first; i < last; ++i) best.add(p, coarse[i], static_cast<int32_t>(i));
  const int64_t moved_last = moved_at + kWindow < m ? moved_at + kWindow : m;
  for (int64_t j = moved_at < kWindow ? 0 : moved_at - kWindow; j < moved_last; ++j)
    if (moved[j] < first || moved[j] >= last) best.add(p, coarse[moved[j]], moved[j]);
  for (int k = 0; k < kNearest; ++k) {
    const int from = k < best.found ? k : best.found - 1;
    out[k] = best.index[from], far[k] = log16_wide(best.distance[from] + 1);
  }
}

// floor(a / b) for |a| < 2^30, 0 < b < 2^18: the quotient of the doubles is at most one off; integers settle it.
SP_HOST_DEVICE inline int32_t floor_div_double(int32_t a, int32_t b) {
  const int32_t q = static_cast<int32_t>(static_cast<double>(a) / static_cast<double>(b));
  const int32_t rest = a - q * b;
  return q - (rest < 0) + (rest >= b);
}

}  // namespace scenepress
