#include "cpu/sh_planes.h"

#include "core/learned.h"
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

void sh_predict(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                const int32_t* weights, const ShPrediction& out) {
  sh_contexts(p, extents, group, classes, steps, out.context);
  for (int64_t k = 0; k < p.count; ++k) {
    const int32_t i = p.active[k], step = steps[i];
    int64_t sum = 2048;
    if (p.near)
      sum += weights[0] * int64_t{p.plane[p.near[2 * i]]} + weights[1] * int64_t{p.plane[p.near[2 * i + 1]]};
    const int32_t eighths = floor_div_double(16 * static_cast<int32_t>(saturate(sum >> 12)) + step, 2 * step);
    const int32_t base = (eighths + 4) >> 3, fraction = eighths - 8 * base;
    out.base[k] = base, out.flip[k] = static_cast<uint8_t>(fraction < 0);
    out.context[k] = static_cast<uint8_t>(2 * out.context[k] + (fraction >= 2 || fraction <= -2));
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

namespace {

// kWidth: t.width, or 0 for any.
template <int kWidth>
void inverse_of(const ShTransform& t, int64_t n, float* out) {
  const int64_t width = kWidth ? kWidth : t.width;
  // |sum| <= 45 * 127 * 2^17 < 2^30, so 32 bits hold it.
  int32_t sum[kMaxShCount];
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < width; ++c) sum[c] = 0;
    for (int64_t j = 0; j < t.columns; ++j) {
      const int32_t value = towards_zero(t.planes[j * t.stride + i], t.shift[j], t.steps[i]);
      if (!value) continue;
      const int32_t* row = t.rows + j * width;
      for (int64_t c = 0; c < width; ++c) sum[c] += row[c] * value;
    }
    for (int64_t c = 0; c < width; ++c) out[i * width + c] = static_cast<float>(sum[c]) * 0x1p-19f;
  }
}

}  // namespace

void sh_inverse(const ShTransform& t, int64_t n, bool portable, float* out) {
#if defined(__x86_64__)
  if (!portable && has_avx2()) return sh_inverse_avx2(t, n, out);
#endif
  (void)portable;
  switch (t.width) {  // Loops of a known length become vectors.
    case 9:
      return inverse_of<9>(t, n, out);
    case 24:
      return inverse_of<24>(t, n, out);
    case 45:
      return inverse_of<45>(t, n, out);
    default:
      return inverse_of<0>(t, n, out);
  }
}

}  // namespace scenepress
