#include "cpu/sh_planes.h"

#include "cpu/cpu_features.h"

namespace scenepress {

void sh_contexts(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                 uint8_t* out) {
  for (int64_t k = 0; k < p.count; ++k) {
    const int32_t i = p.active[k];
    int size = 0;
    if (p.near) {
      const int64_t a = p.plane[p.near[2 * i]], b = p.plane[p.near[2 * i + 1]];
      const int64_t sum = (a < 0 ? -a : a) + (b < 0 ? -b : b), step = steps[i];
      size = (2 * sum >= step) + (sum >= 2 * step);
    }
    out[k] = static_cast<uint8_t>(classes[i] * 6 + (extents[i] == group) * 3 + size);
  }
}

void sh_scatter(int32_t* plane, int64_t first, const int32_t* active, const int32_t* symbols, const int32_t* steps,
                int64_t count) {
  for (int64_t k = 0; k < count; ++k) {
    const int64_t value = int64_t{symbols[k]} * steps[active[k]];
    plane[first + active[k]] = static_cast<int32_t>(value > kShLimit    ? kShLimit
                                                    : value < -kShLimit ? -kShLimit
                                                                        : value);
  }
}

void sh_inverse(const int32_t* planes, int64_t stride, int64_t columns, int64_t n, const int32_t* steps,
                const int32_t* shift, const int32_t* rows, int64_t width, float* out) {
#if defined(__x86_64__)
  if (has_avx2()) return sh_inverse_avx2(planes, stride, columns, n, steps, shift, rows, width, out);
#endif
  // |sum| <= 45 * 127 * 2^17 < 2^30, so 32 bits hold it.
  int32_t sum[kMaxShCount];
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < width; ++c) sum[c] = 0;
    for (int64_t j = 0; j < columns; ++j) {
      int32_t value = planes[j * stride + i];
      if (!value) continue;
      const int32_t move = static_cast<int32_t>((int64_t{shift[j]} * steps[i]) >> 7);
      const int32_t size = (value < 0 ? -value : value) - move;
      value = size <= 0 ? 0 : value < 0 ? -size : size;
      const int32_t* row = rows + j * width;
      for (int64_t c = 0; c < width; ++c) sum[c] += row[c] * value;
    }
    for (int64_t c = 0; c < width; ++c) out[i * width + c] = static_cast<float>(sum[c]) * 0x1p-19f;
  }
}

}  // namespace scenepress
