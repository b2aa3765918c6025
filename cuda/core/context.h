// Neighbours, predictions and contexts of one splat: docs/spec/context.md, integers only.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr int kSpreads = 5, kPhases = 3, kWindow = 4;
constexpr int64_t kLimit = 1 << 24;

struct Point {
  int64_t x, y, z;
};

// Every third bit of a 63-bit Morton code, from bit 0 up.
SP_HOST_DEVICE inline int64_t compact_bits(uint64_t v) {
  v &= 0x1249249249249249u;
  v = (v | (v >> 2)) & 0x10C30C30C30C30C3u;
  v = (v | (v >> 4)) & 0x100F00F00F00F00Fu;
  v = (v | (v >> 8)) & 0x1F0000FF0000FFu;
  v = (v | (v >> 16)) & 0x1F00000000FFFFu;
  v = (v | (v >> 32)) & 0x1FFFFFu;
  return static_cast<int64_t>(v);
}

SP_HOST_DEVICE inline Point unmorton(uint64_t code) {
  return {compact_bits(code >> 2), compact_bits(code >> 1), compact_bits(code)};
}

// The two points nearest to `code` among coarse[at - kWindow, at + kWindow), where `at` is the index of the first
// coarse code >= code. Ties go to the smaller index; a lone coarse code is both. Needs m > 0.
SP_HOST_DEVICE inline void nearest_two(uint64_t code, const Point* coarse, int64_t m, int64_t at, int32_t* out) {
  const Point p = unmorton(code);
  const int64_t first = at < kWindow ? 0 : at - kWindow, last = at + kWindow < m ? at + kWindow : m;
  int64_t best = INT64_MAX, next = INT64_MAX;
  int32_t best_at = 0, next_at = 0;
  for (int64_t i = first; i < last; ++i) {
    const int64_t dx = coarse[i].x - p.x, dy = coarse[i].y - p.y, dz = coarse[i].z - p.z;
    const int64_t d = dx * dx + dy * dy + dz * dz;
    if (d < best) {
      next = best, next_at = best_at;
      best = d, best_at = static_cast<int32_t>(i);
    } else if (d < next) {
      next = d, next_at = static_cast<int32_t>(i);
    }
  }
  out[0] = best_at;
  out[1] = m == 1 ? best_at : next_at;
}

// Of one channel of a level, from `inputs` before it and, where `near` is not null, from neighbours.
struct Prediction {
  const int32_t* values;    // [channels, capacity]
  int64_t capacity, first;  // columns; the level's rows start at column `first`
  const int32_t* near;      // [n, 2], or null
  int32_t channel;
  const int32_t* inputs;  // [input_count] channels
  int64_t input_count;
  const int32_t* weights;  // 4096 = 1
  const int32_t* bias;     // by class
  const uint8_t* classes;  // [n]
  const int32_t* steps;    // [n]
};

struct Context {
  int32_t base;
  uint8_t context, flip;
};

SP_HOST_DEVICE inline int32_t floor_div(int32_t a, int32_t b) {  // b > 0
  const int32_t q = a / b;
  return q - (a - q * b < 0);
}

SP_HOST_DEVICE inline int64_t saturate(int64_t v) { return v > kLimit ? kLimit : v < -kLimit ? -kLimit : v; }

// From a prediction to the lattice point it is nearest to, and the context of the distance between them.
// `spread` is the neighbours' bin; 0 < step <= 65535.
SP_HOST_DEVICE inline Context context_of(int64_t prediction, int32_t step, int spread, int importance) {
  const int32_t p = static_cast<int32_t>(saturate(prediction));
  const int32_t eighths = floor_div(16 * p + step, 2 * step);
  const int32_t base = (eighths + 4) >> 3;
  const int32_t fraction = eighths - 8 * base, distance = fraction < 0 ? -fraction : fraction;
  const int phase = distance == 0 ? 0 : distance <= 2 ? 1 : 2;
  return {base, static_cast<uint8_t>((importance * kPhases + phase) * kSpreads + spread),
          static_cast<uint8_t>(fraction < 0)};
}

SP_HOST_DEVICE inline int spread_bin(int64_t a, int64_t b, int64_t step) {
  const int64_t gap = a > b ? a - b : b - a;
  return (2 * gap >= step) + (gap >= 2 * step) + (gap >= 8 * step);
}

SP_HOST_DEVICE inline int32_t value_of(int32_t base, bool flip, int32_t symbol, int32_t step) {
  const int64_t k = symbol;
  return static_cast<int32_t>(saturate((base + (flip ? -k : k)) * step));
}

}  // namespace scenepress
