// SH coefficient planes of a level, and the transform back: docs/spec/sh.md, integers up to the last product.
#pragma once

#include <cstdint>

namespace scenepress {

constexpr int64_t kShLimit = 1 << 17;
constexpr int kMaxShCount = 45;

struct ShPlane {
  const int32_t* plane;   // [capacity]
  const int32_t* near;    // [n, 2], or null
  const int32_t* active;  // [count] rows of the level
  int64_t count;
};

void sh_contexts(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                 uint8_t* out);
void sh_scatter(int32_t* plane, int64_t first, const int32_t* active, const int32_t* symbols, const int32_t* steps,
                int64_t count);
// planes [columns] of rows `stride` apart; rows [columns, width]; out [n, width].
void sh_inverse(const int32_t* planes, int64_t stride, int64_t columns, int64_t n, const int32_t* steps,
                const int32_t* shift, const int32_t* rows, int64_t width, float* out);

void sh_inverse_avx2(const int32_t* planes, int64_t stride, int64_t columns, int64_t n, const int32_t* steps,
                     const int32_t* shift, const int32_t* rows, int64_t width, float* out);

}  // namespace scenepress
