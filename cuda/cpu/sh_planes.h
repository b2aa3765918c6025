// SH coefficient planes of a level, and the transform back: docs/spec/sh.md, integers up to the last product.
#pragma once

#include <cstdint>

namespace scenepress {

constexpr int64_t kShLimit = 1 << 17;
constexpr int kMaxShCount = 45;

// A coefficient without (shift step) >> 7 of its size, or without all of it.
static inline int32_t towards_zero(int32_t value, int32_t shift, int32_t step) {
  const int32_t move = static_cast<int32_t>((int64_t{shift} * step) >> 7);
  const int32_t size = (value < 0 ? -value : value) - move;
  return size <= 0 ? 0 : value < 0 ? -size : size;
}

struct ShPlane {
  const int32_t* plane;   // [capacity]
  const int32_t* near;    // [n, 2], or null
  const int32_t* active;  // [count] rows of the level
  int64_t count;
};

void sh_contexts(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                 uint8_t* out);

struct ShPrediction {
  int32_t* base;
  uint8_t* context;
  uint8_t* flip;
};

// As sh_contexts, for a coefficient that is predicted: weights [2], 4096 = 1, within +-32767.
void sh_predict(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                const int32_t* weights, const ShPrediction& out);
void sh_scatter(int32_t* plane, int64_t first, const int32_t* active, const int32_t* symbols, const int32_t* steps,
                int64_t count);
// The transform back of n splats whose coefficients start at `planes`.
struct ShTransform {
  const int32_t* planes;  // [columns] rows, `stride` apart
  int64_t stride, columns, width;
  const int32_t* steps;  // [n]
  const int32_t* shift;  // [columns]
  const int32_t* rows;   // [columns, width], within +-127
};

// out [n, width]. Both give the same with plain C++ (portable) and with AVX2.
void sh_inverse(const ShTransform& t, int64_t n, bool portable, float* out);
void sh_inverse_avx2(const ShTransform& t, int64_t n, float* out);

// The same of splats that lie one by one: see sh_rows.h.
struct ShRowTransform {
  const int32_t* const* splats;  // [n]: bounds[extents[i]] coefficients
  const uint8_t* extents;        // [n]
  const int32_t* bounds;         // [16], each at most kMaxShCount
  int64_t columns, width;
  const int32_t *steps, *shift, *rows;  // As of ShTransform.
};
void sh_inverse_rows(const ShRowTransform& t, int64_t n, bool portable, float* out);
void sh_inverse_rows_avx2(const ShRowTransform& t, int64_t n, float* out);

}  // namespace scenepress
