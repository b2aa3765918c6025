#include "cpu/sh_planes.h"

#include "cpu/cpu_features.h"
#include "cpu/sh_row_kernels.h"
#include "cpu/sh_rows.h"

namespace scenepress {

void sh_contexts(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                 uint8_t* out) {
  sh_contexts_of(ShPlaneColumn{const_cast<int32_t*>(p.plane)}, p, extents, group, classes, steps, out);
}

void sh_predict(const ShPlane& p, const uint8_t* extents, int group, const uint8_t* classes, const int32_t* steps,
                const int32_t* weights, const ShPrediction& out) {
  sh_predict_of(ShPlaneColumn{const_cast<int32_t*>(p.plane)}, p, extents, group, classes, steps, weights, out);
}

void sh_scatter(int32_t* plane, int64_t first, const int32_t* active, const int32_t* symbols, const int32_t* steps,
                int64_t count) {
  sh_scatter_to(ShPlaneColumn{plane}, first, active, symbols, steps, count);
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

void sh_inverse_rows(const ShRowTransform& t, int64_t n, bool portable, float* out) {
#if defined(__x86_64__)
  if (!portable && has_avx2()) return sh_inverse_rows_avx2(t, n, out);
#endif
  (void)portable;
  transform_rows(t, n, out);
}

}  // namespace scenepress
