// The same loops as sh_planes.cpp, eight coefficients at a time.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "cpu/sh_planes.h"

namespace scenepress {

namespace {

constexpr int64_t kBlock = 64;  // splats: their sums stay in the first-level cache
constexpr int kVectors = 6;     // 48 >= kMaxShCount

int32_t towards_zero(int32_t value, int32_t move) {
  const int32_t size = (value < 0 ? -value : value) - move;
  return size <= 0 ? 0 : value < 0 ? -size : size;
}

}  // namespace

void sh_inverse_avx2(const int32_t* planes, int64_t stride, int64_t columns, int64_t n, const int32_t* steps,
                     const int32_t* shift, const int32_t* rows, int64_t width, float* out) {
  alignas(32) int32_t sums[kBlock][8 * kVectors];
  alignas(32) int32_t row[8 * kVectors] = {};
  const int vectors = static_cast<int>((width + 7) / 8);
  const __m256 unit = _mm256_set1_ps(0x1p-19f);
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    std::memset(sums, 0, sizeof(sums[0]) * static_cast<size_t>(count));
    for (int64_t j = 0; j < columns; ++j) {
      std::memcpy(row, rows + j * width, sizeof(int32_t) * static_cast<size_t>(width));
      const int32_t* plane = planes + j * stride + begin;
      for (int64_t i = 0; i < count; ++i) {
        if (!plane[i]) continue;
        const int32_t move = static_cast<int32_t>((int64_t{shift[j]} * steps[begin + i]) >> 7);
        const __m256i value = _mm256_set1_epi32(towards_zero(plane[i], move));
        __m256i* sum = reinterpret_cast<__m256i*>(sums[i]);
        for (int v = 0; v < vectors; ++v) {
          const __m256i part = _mm256_load_si256(reinterpret_cast<const __m256i*>(row) + v);
          sum[v] = _mm256_add_epi32(sum[v], _mm256_mullo_epi32(part, value));
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      alignas(32) float values[8 * kVectors];
      for (int v = 0; v < vectors; ++v) {
        const __m256i sum = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums[i]) + v);
        _mm256_store_ps(values + 8 * v, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), unit));
      }
      std::memcpy(out + (begin + i) * width, values, sizeof(float) * static_cast<size_t>(width));
    }
  }
}

}  // namespace scenepress

#endif  // __x86_64__
