// sh_inverse_rows(): compiled as it is, and for AVX2. It calls nothing of the standard library but memcpy and
// memset: see raster_avx2fma.cpp.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/sh_planes.h"

namespace scenepress {
namespace {

constexpr int kRowLanes = 48;  // >= kMaxShCount, whole vectors

// kWidth: at least t.width. Loops of a known length become vectors.
template <int kWidth>
void transform_rows_of(const ShRowTransform& t, int64_t n, float* out) {
  constexpr int kLanesUsed = (kWidth + 3) / 4 * 4;
  alignas(32) int32_t rows[kMaxShCount][kRowLanes] = {};
  for (int64_t j = 0; j < t.columns; ++j)
    for (int64_t c = 0; c < t.width; ++c) rows[j][c] = t.rows[j * t.width + c];
  for (int64_t i = 0; i < n; ++i, out += t.width) {
    const int32_t* coefficients = t.splats[i];
    const int32_t count = t.bounds[t.extents[i]], step = t.steps[i];
    // |sum| <= 45 * 127 * 2^17 < 2^30, so 32 bits hold it.
    alignas(32) int32_t sum[kLanesUsed] = {};
    bool any = false;
    for (int32_t j = 0; j < count; ++j) {
      const int32_t value = towards_zero(coefficients[j], t.shift[j], step);
      if (!value) continue;
      any = true;
      for (int c = 0; c < kLanesUsed; ++c) sum[c] += rows[j][c] * value;
    }
    if (!any) {
      std::memset(out, 0, sizeof(float) * static_cast<size_t>(t.width));
      continue;
    }
    alignas(32) float made[kLanesUsed];
    for (int c = 0; c < kLanesUsed; ++c) made[c] = static_cast<float>(sum[c]) * 0x1p-19f;
    std::memcpy(out, made, sizeof(float) * static_cast<size_t>(t.width));
  }
}

void transform_rows(const ShRowTransform& t, int64_t n, float* out) {
  if (t.width <= 9) return transform_rows_of<9>(t, n, out);
  if (t.width <= 24) return transform_rows_of<24>(t, n, out);
  return transform_rows_of<45>(t, n, out);
}

}  // namespace
}  // namespace scenepress
