// The loops of context.cpp, eight splats at a time, with the same results: integers decide every one of them.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>

#include "core/context.h"
#include "cpu/context.h"

namespace scenepress {

namespace {

inline __m256i load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void store(int32_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

// Eight 64-bit integers, those of even lanes and those of odd ones: a product of two 32-bit lanes needs them.
struct Wide {
  __m256i even, odd;
};

inline Wide times(__m256i a, __m256i b) {
  return {_mm256_mul_epi32(a, b), _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32))};
}

inline Wide plus(Wide a, Wide b) { return {_mm256_add_epi64(a.even, b.even), _mm256_add_epi64(a.odd, b.odd)}; }

// The low halves, lane by lane.
inline __m256i narrow(Wide a) { return _mm256_blend_epi32(a.even, _mm256_slli_epi64(a.odd, 32), 0xAA); }

inline __m256i clamp(__m256i v, int32_t limit) {
  return _mm256_max_epi32(_mm256_min_epi32(v, _mm256_set1_epi32(limit)), _mm256_set1_epi32(-limit));
}

inline __m256i clamp_wide(__m256i v, int64_t limit) {
  const __m256i high = _mm256_set1_epi64x(limit), low = _mm256_set1_epi64x(-limit);
  v = _mm256_blendv_epi8(v, high, _mm256_cmpgt_epi64(v, high));
  return _mm256_blendv_epi8(v, low, _mm256_cmpgt_epi64(low, v));
}

// floor(a / b) for |a| < 2^30, 0 < b < 2^18. The quotient of the floats is at most one off; integers settle it.
inline __m256i floor_divide(__m256i a, __m256i b) {
  const __m256d low =
      _mm256_div_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(a)), _mm256_cvtepi32_pd(_mm256_castsi256_si128(b)));
  const __m256d high = _mm256_div_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1)),
                                     _mm256_cvtepi32_pd(_mm256_extracti128_si256(b, 1)));
  const __m256i q = _mm256_set_m128i(_mm256_cvttpd_epi32(high), _mm256_cvttpd_epi32(low));
  const __m256i rest = _mm256_sub_epi32(a, _mm256_mullo_epi32(q, b));
  const __m256i below = _mm256_cmpgt_epi32(_mm256_setzero_si256(), rest);  // -1 where true
  const __m256i above = _mm256_cmpgt_epi32(rest, _mm256_sub_epi32(b, _mm256_set1_epi32(1)));
  return _mm256_sub_epi32(_mm256_add_epi32(q, below), above);
}

struct Neighbours {
  __m256i a, b;
};

// Sixteen indices a b a b ... to eight each.
inline Neighbours load_neighbours(const int32_t* near) {
  const __m256 low = _mm256_castsi256_ps(load(near)), high = _mm256_castsi256_ps(load(near + 8));
  const __m256i a = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
  const __m256i b = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
  return {_mm256_permute4x64_epi64(a, _MM_SHUFFLE(3, 1, 2, 0)),
          _mm256_permute4x64_epi64(b, _MM_SHUFFLE(3, 1, 2, 0))};
}

inline __m256i gather(const int32_t* row, __m256i at) { return _mm256_i32gather_epi32(row, at, 4); }

inline Wide weighted(int32_t weight, __m256i values) { return times(_mm256_set1_epi32(weight), values); }

inline __m256i spread_bins(__m256i a, __m256i b, __m256i step) {
  const __m256i gap = _mm256_abs_epi32(_mm256_sub_epi32(a, b));
  const __m256i less = _mm256_add_epi32(_mm256_add_epi32(_mm256_cmpgt_epi32(step, _mm256_add_epi32(gap, gap)),
                                                         _mm256_cmpgt_epi32(_mm256_add_epi32(step, step), gap)),
                                        _mm256_cmpgt_epi32(_mm256_slli_epi32(step, 3), gap));
  return _mm256_add_epi32(_mm256_set1_epi32(3), less);
}

// The low byte of each lane.
inline void store_bytes(uint8_t* out, __m256i v) {
  const __m256i bytes =
      _mm256_shuffle_epi8(v, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                                              12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), both);
}

// The sum of context.md, section 2, for splats i .. i + 7, and their spread.
inline Wide weighted_sum(const Prediction& p, int64_t i, __m256i step, __m256i* spread) {
  const int32_t* own = p.values + p.first + i;
  const int32_t* w = p.weights;
  const __m256i half = _mm256_set1_epi64x(2048);
  Wide sum{half, half};
  *spread = _mm256_set1_epi32(kSpreads - 1);
  if (!p.near) {
    for (int64_t j = 0; j < p.input_count; ++j)
      sum = plus(sum, weighted(w[j], load(own + p.inputs[j] * p.capacity)));
    return sum;
  }
  const Neighbours at = load_neighbours(p.near + 2 * i);
  const int32_t* channel = p.values + p.channel * p.capacity;
  const __m256i a = gather(channel, at.a), b = gather(channel, at.b);
  sum = plus(sum, plus(weighted(w[0], a), weighted(w[1], b)));
  *spread = spread_bins(a, b, step);
  w += 2;
  for (int64_t j = 0; j < p.input_count; ++j, w += 3) {
    const int64_t row = p.inputs[j] * p.capacity;
    sum = plus(sum, weighted(w[0], load(own + row)));
    sum = plus(sum,
               plus(weighted(w[1], gather(p.values + row, at.a)), weighted(w[2], gather(p.values + row, at.b))));
  }
  return sum;
}

}  // namespace

void predict_avx2(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip) {
  const __m256i zero = _mm256_setzero_si256(), two = _mm256_set1_epi32(2);
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i step = load(p.steps + i);
    __m256i spread;
    const Wide sum = weighted_sum(p, i, step, &spread);
    // Below 2^43, so that what is left after the shift fits 32 bits whatever is shifted in above.
    const __m256i mean = narrow({_mm256_srli_epi64(sum.even, 12), _mm256_srli_epi64(sum.odd, 12)});
    const __m256i importance =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p.classes + i)));
    const __m256i prediction =
        clamp(_mm256_add_epi32(mean, gather(p.bias, importance)), static_cast<int32_t>(kLimit));
    const __m256i eighths =
        floor_divide(_mm256_add_epi32(_mm256_slli_epi32(prediction, 4), step), _mm256_add_epi32(step, step));
    const __m256i whole = _mm256_srai_epi32(_mm256_add_epi32(eighths, _mm256_set1_epi32(4)), 3);
    const __m256i fraction = _mm256_sub_epi32(eighths, _mm256_slli_epi32(whole, 3));
    const __m256i distance = _mm256_abs_epi32(fraction);
    const __m256i phase = _mm256_sub_epi32(
        zero, _mm256_add_epi32(_mm256_cmpgt_epi32(distance, zero), _mm256_cmpgt_epi32(distance, two)));
    const __m256i bin = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_add_epi32(_mm256_mullo_epi32(importance, _mm256_set1_epi32(kPhases)), phase),
                           _mm256_set1_epi32(kSpreads)),
        spread);
    store(base + i, whole);
    store_bytes(context + i, bin);
    store_bytes(flip + i, _mm256_srli_epi32(fraction, 31));
  }
}

void reconstruct_avx2(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                      int64_t n, int32_t* out) {
  for (int64_t i = 0; i < n; i += 8) {
    const __m256i turned = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(flip + i)));
    const __m256i minus = _mm256_cmpgt_epi32(turned, _mm256_setzero_si256());
    const __m256i k = _mm256_sub_epi32(_mm256_xor_si256(load(symbols + i), minus), minus);
    const Wide value = times(_mm256_add_epi32(load(base + i), k), load(steps + i));
    store(out + i, narrow({clamp_wide(value.even, kLimit), clamp_wide(value.odd, kLimit)}));
  }
}

}  // namespace scenepress

#endif  // __x86_64__
