// The loops of context_vectors.h, eight splats at a time.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace scenepress {
namespace {

using Lanes = __m256i;
using Places = __m256i;
constexpr int64_t kLanes = 8;

inline Lanes load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void store(int32_t* p, Lanes v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
inline Lanes splat(int32_t value) { return _mm256_set1_epi32(value); }
inline Lanes add(Lanes a, Lanes b) { return _mm256_add_epi32(a, b); }
inline Lanes subtract(Lanes a, Lanes b) { return _mm256_sub_epi32(a, b); }
inline Lanes multiply(Lanes a, Lanes b) { return _mm256_mullo_epi32(a, b); }
inline Lanes absolute(Lanes v) { return _mm256_abs_epi32(v); }
inline Lanes flip_bits(Lanes a, Lanes b) { return _mm256_xor_si256(a, b); }
inline Lanes greater(Lanes a, Lanes b) { return _mm256_cmpgt_epi32(a, b); }
inline Lanes least(Lanes a, Lanes b) { return _mm256_min_epi32(a, b); }
inline Lanes most(Lanes a, Lanes b) { return _mm256_max_epi32(a, b); }
template <int kBits>
inline Lanes shift_left(Lanes v) {
  return _mm256_slli_epi32(v, kBits);
}
template <int kBits>
inline Lanes shift_right(Lanes v) {
  return _mm256_srai_epi32(v, kBits);
}

// Those of even lanes, then those of odd ones: a product of two 32-bit lanes needs them.
struct Wide {
  __m256i first, second;
};

inline Wide wide_splat(int64_t value) { return {_mm256_set1_epi64x(value), _mm256_set1_epi64x(value)}; }

inline Wide times(Lanes a, Lanes b) {
  return {_mm256_mul_epi32(a, b), _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32))};
}

inline Wide plus(Wide a, Wide b) {
  return {_mm256_add_epi64(a.first, b.first), _mm256_add_epi64(a.second, b.second)};
}

template <int kBits>
inline Wide shift_wide(Wide a) {
  return {_mm256_srli_epi64(a.first, kBits), _mm256_srli_epi64(a.second, kBits)};
}

// The low halves, lane by lane.
inline Lanes narrow(Wide a) { return _mm256_blend_epi32(a.first, _mm256_slli_epi64(a.second, 32), 0xAA); }

inline __m256i clamp_wide(__m256i v, int64_t limit) {
  const __m256i high = _mm256_set1_epi64x(limit), low = _mm256_set1_epi64x(-limit);
  v = _mm256_blendv_epi8(v, high, _mm256_cmpgt_epi64(v, high));
  return _mm256_blendv_epi8(v, low, _mm256_cmpgt_epi64(low, v));
}

inline Lanes quotient(Lanes a, Lanes b) {
  const __m256d low =
      _mm256_div_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(a)), _mm256_cvtepi32_pd(_mm256_castsi256_si128(b)));
  const __m256d high = _mm256_div_pd(_mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1)),
                                     _mm256_cvtepi32_pd(_mm256_extracti128_si256(b, 1)));
  return _mm256_set_m128i(_mm256_cvttpd_epi32(high), _mm256_cvttpd_epi32(low));
}

struct Neighbours {
  Places a, b;
};

// Sixteen indices a b a b ... to eight each.
inline Neighbours load_neighbours(const int32_t* near) {
  const __m256 low = _mm256_castsi256_ps(load(near)), high = _mm256_castsi256_ps(load(near + 8));
  const __m256i a = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
  const __m256i b = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
  return {_mm256_permute4x64_epi64(a, _MM_SHUFFLE(3, 1, 2, 0)),
          _mm256_permute4x64_epi64(b, _MM_SHUFFLE(3, 1, 2, 0))};
}

inline Lanes gather(const int32_t* row, Places at) { return _mm256_i32gather_epi32(row, at, 4); }

inline Lanes load_bytes(const uint8_t* eight) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(eight)));
}

inline Places load_places(const uint8_t* eight) { return load_bytes(eight); }

// The low byte of each lane.
inline void store_bytes(uint8_t* out, __m256i v) {
  const __m256i bytes =
      _mm256_shuffle_epi8(v, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                                              12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), both);
}

}  // namespace
}  // namespace scenepress

#include "cpu/context_vectors.h"

namespace scenepress {

void predict_avx2(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip) {
  predict_vectors(p, n, base, context, flip);
}

void reconstruct_avx2(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                      int64_t n, int32_t* out) {
  reconstruct_vectors(base, flip, symbols, steps, n, out);
}

}  // namespace scenepress

#endif  // __x86_64__
