// The transform of sh_planes.cpp, eight sums at a time.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "cpu/sh_planes.h"
#include "cpu/sh_row_kernels.h"

namespace scenepress {

namespace {

constexpr int kBlock = 64;   // splats whose coefficients are gathered before they are transformed
constexpr int kVectors = 6;  // 48 >= kMaxShCount

// The coefficients of a block that are not zero, splat by splat: most are.
struct Gathered {
  int count[kBlock];
  uint8_t column[kBlock][kMaxShCount];
  int32_t value[kBlock][kMaxShCount];
};

// Bit k: whether coefficient k of eight is not zero.
unsigned not_zero(const int32_t* plane) {
  const __m256i eight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(plane));
  const __m256i zero = _mm256_cmpeq_epi32(eight, _mm256_setzero_si256());
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(zero))) ^ 255u;
}

void gather(const ShTransform& t, int64_t begin, int count, Gathered* out) {
  std::memset(out->count, 0, sizeof(out->count));
  for (int64_t j = 0; j < t.columns; ++j) {
    const int32_t* plane = t.planes + j * t.stride + begin;
    const auto append = [&](int i) {
      const int32_t value = towards_zero(plane[i], t.shift[j], t.steps[begin + i]);
      const int k = out->count[i]++;
      out->column[i][k] = static_cast<uint8_t>(j);
      out->value[i][k] = value;
    };
    int i = 0;
    for (; i + 8 <= count; i += 8)
      for (unsigned left = not_zero(plane + i); left; left &= left - 1) append(i + __builtin_ctz(left));
    for (; i < count; ++i)
      if (plane[i]) append(i);
  }
}

// Sums of one splat's coefficients times their rows, in units of 2^-19.
template <int kCount>
void transform(const Gathered& gathered, int i, const int32_t (*rows)[8 * kVectors], int64_t width, float* out) {
  __m256i sum[kCount];
  for (__m256i& v : sum) v = _mm256_setzero_si256();
  for (int k = 0; k < gathered.count[i]; ++k) {
    const __m256i value = _mm256_set1_epi32(gathered.value[i][k]);
    const __m256i* row = reinterpret_cast<const __m256i*>(rows[gathered.column[i][k]]);
    for (int v = 0; v < kCount; ++v)
      sum[v] = _mm256_add_epi32(sum[v], _mm256_mullo_epi32(_mm256_load_si256(row + v), value));
  }
  const __m256 unit = _mm256_set1_ps(0x1p-19f);
  for (int v = 0; v + 1 < kCount; ++v)
    _mm256_storeu_ps(out + 8 * v, _mm256_mul_ps(_mm256_cvtepi32_ps(sum[v]), unit));
  alignas(32) float last[8];
  _mm256_store_ps(last, _mm256_mul_ps(_mm256_cvtepi32_ps(sum[kCount - 1]), unit));
  const int64_t done = 8 * (kCount - 1);
  std::memcpy(out + done, last, sizeof(float) * static_cast<size_t>(width - done));
}

template <int kCount>
void transform_all(const ShTransform& t, int64_t n, float* out) {
  alignas(32) int32_t rows[kMaxShCount][8 * kVectors] = {};
  for (int64_t j = 0; j < t.columns; ++j)
    std::memcpy(rows[j], t.rows + j * t.width, sizeof(int32_t) * static_cast<size_t>(t.width));
  Gathered gathered;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int count = static_cast<int>(n - begin < kBlock ? n - begin : kBlock);
    gather(t, begin, count, &gathered);
    for (int i = 0; i < count; ++i) transform<kCount>(gathered, i, rows, t.width, out + (begin + i) * t.width);
  }
}

}  // namespace

void sh_inverse_avx2(const ShTransform& t, int64_t n, float* out) {
  switch ((t.width + 7) / 8) {
    case 1:
      return transform_all<1>(t, n, out);
    case 2:
      return transform_all<2>(t, n, out);
    case 3:
      return transform_all<3>(t, n, out);
    case 4:
      return transform_all<4>(t, n, out);
    case 5:
      return transform_all<5>(t, n, out);
    case 6:
      return transform_all<6>(t, n, out);
  }
}

void sh_inverse_rows_avx2(const ShRowTransform& t, int64_t n, float* out) { transform_rows(t, n, out); }

}  // namespace scenepress

#endif  // __x86_64__
