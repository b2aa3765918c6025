// The inner loops over AVX2 vectors. Only headers of core/ and intrinsics here: an inline function of the standard
// library compiled for AVX2 could be linked into code that runs without it.
#include <immintrin.h>

#include "cpu/raster.h"
#include "cpu/raster_gradient_kernels.h"
#include "cpu/raster_kernels.h"

namespace scenepress {

#if defined(__AVX2__) && defined(__FMA__)
namespace {

struct Avx2Lanes {
  __m256 v;

  static inline Avx2Lanes load(const float* p) { return {_mm256_load_ps(p)}; }
  inline void store(float* p) const { _mm256_store_ps(p, v); }
  // out[k] = the sum of the lanes of x[k], k < 8.
  static inline void sum_each(const Avx2Lanes* x, float* out) {
    const __m256 pairs0 = _mm256_hadd_ps(x[0].v, x[1].v), pairs1 = _mm256_hadd_ps(x[2].v, x[3].v);
    const __m256 pairs2 = _mm256_hadd_ps(x[4].v, x[5].v), pairs3 = _mm256_hadd_ps(x[6].v, x[7].v);
    const __m256 low = _mm256_hadd_ps(pairs0, pairs1), high = _mm256_hadd_ps(pairs2, pairs3);
    const __m256 crossed =
        _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
    _mm256_storeu_ps(out, crossed);
  }
  static inline float sum(Avx2Lanes a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }
  static inline float largest(Avx2Lanes a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }
  static inline Avx2Lanes splat(float x) { return {_mm256_set1_ps(x)}; }
  static inline Avx2Lanes ramp(float first) {
    return {_mm256_add_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_ps(first))};
  }
  static inline Avx2Lanes fma(Avx2Lanes a, Avx2Lanes b, Avx2Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  static inline Avx2Lanes fnma(Avx2Lanes a, Avx2Lanes b, Avx2Lanes c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
  static inline Avx2Lanes min(Avx2Lanes a, Avx2Lanes b) { return {_mm256_min_ps(a.v, b.v)}; }
  static inline Avx2Lanes max(Avx2Lanes a, Avx2Lanes b) { return {_mm256_max_ps(a.v, b.v)}; }
  static inline Avx2Lanes less(Avx2Lanes a, Avx2Lanes b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  static inline Avx2Lanes not_less(Avx2Lanes a, Avx2Lanes b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
  static inline Avx2Lanes both(Avx2Lanes a, Avx2Lanes b) { return {_mm256_and_ps(a.v, b.v)}; }
  static inline Avx2Lanes where_positive(Avx2Lanes mask, Avx2Lanes sign) {
    return {_mm256_blendv_ps(mask.v, _mm256_setzero_ps(), sign.v)};
  }
  static inline Avx2Lanes select(Avx2Lanes mask, Avx2Lanes yes, Avx2Lanes no) {
    return {_mm256_blendv_ps(no.v, yes.v, mask.v)};
  }
  static inline Avx2Lanes negative_where(Avx2Lanes mask, Avx2Lanes a) {
    return {_mm256_or_ps(a.v, _mm256_and_ps(mask.v, _mm256_set1_ps(-0.f)))};
  }
  static inline unsigned bits(Avx2Lanes a) { return static_cast<unsigned>(_mm256_movemask_ps(a.v)); }
  static inline Avx2Lanes scale_by_power(Avx2Lanes p, Avx2Lanes shifted) {
    const __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), power))};
  }
};

inline Avx2Lanes operator+(Avx2Lanes a, Avx2Lanes b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Avx2Lanes operator-(Avx2Lanes a, Avx2Lanes b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Avx2Lanes operator/(Avx2Lanes a, Avx2Lanes b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Avx2Lanes operator*(Avx2Lanes a, Avx2Lanes b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Avx2Lanes operator*(float a, Avx2Lanes b) { return {_mm256_mul_ps(_mm256_set1_ps(a), b.v)}; }

}  // namespace

const RasterKernels* avx2_raster_kernels() {
  static const RasterKernels kernels{make_footprints<Avx2Lanes>, list_tiles<Avx2Lanes>,
                                     blend_tile<Avx2Lanes>,      measure_tile<Avx2Lanes>,
                                     add_sums<Avx2Lanes>,        differentiate_tile<Avx2Lanes>};
  return &kernels;
}

#else

const RasterKernels* avx2_raster_kernels() { return nullptr; }

#endif

}  // namespace scenepress
