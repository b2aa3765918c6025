#include "cpu/context.h"

#include <cstddef>
#include <vector>

#include "cpu/cpu_features.h"

namespace scenepress {

namespace {

// How many of n splats the vector loops take.
int64_t by_vectors(int64_t n, bool portable) {
#if defined(__wasm_simd128__)
  return portable ? 0 : n & ~int64_t{3};
#else
  return portable || !has_avx2() ? 0 : n & ~int64_t{7};
#endif
}

}  // namespace

void neighbours(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out) {
  std::vector<Point> points(static_cast<size_t>(m));
  for (int64_t i = 0; i < m; ++i) points[i] = unmorton(coarse[i]);
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    while (at < m && coarse[at] < codes[i]) ++at;
    nearest_two(codes[i], points.data(), m, at, out + 2 * i);
  }
}

void merge_codes(const KnownCodes& known, const uint64_t* codes, int64_t n, int32_t first, uint64_t* merged,
                 int32_t* merged_columns) {
  int64_t i = 0, j = 0;
  for (int64_t k = 0; k < known.count + n; ++k) {
    const bool old = j == n || (i < known.count && known.codes[i] <= codes[j]);
    merged[k] = old ? known.codes[i] : codes[j];
    merged_columns[k] = old ? known.columns[i] : first + static_cast<int32_t>(j);
    ++(old ? i : j);
  }
}

void predict(const Prediction& p, int64_t n, bool portable, int32_t* base, uint8_t* context, uint8_t* flip) {
  const int64_t begin = by_vectors(n, portable);
#if defined(__x86_64__)
  if (begin) predict_avx2(p, begin, base, context, flip);
#elif defined(__wasm_simd128__)
  if (begin) predict_simd128(p, begin, base, context, flip);
#endif
  const int32_t* own = p.values + p.first;
  const int32_t* channel = p.values + p.channel * p.capacity;
  for (int64_t i = begin; i < n; ++i) {
    const int32_t* w = p.weights;
    const int32_t step = p.steps[i];
    int64_t sum = 2048;
    int spread = kSpreads - 1;
    if (p.near) {
      const int32_t a = p.near[2 * i], b = p.near[2 * i + 1];
      const int64_t va = channel[a], vb = channel[b];
      sum += w[0] * va + w[1] * vb;
      w += 2;
      spread = spread_bin(va, vb, step);
      for (int64_t j = 0; j < p.input_count; ++j, w += 3) {
        const int64_t row = p.inputs[j] * p.capacity;
        sum +=
            w[0] * int64_t{own[row + i]} + w[1] * int64_t{p.values[row + a]} + w[2] * int64_t{p.values[row + b]};
      }
    } else {
      for (int64_t j = 0; j < p.input_count; ++j) sum += w[j] * int64_t{own[p.inputs[j] * p.capacity + i]};
    }
    const Context c = context_of(p.bias[p.classes[i]] + (sum >> 12), step, spread, p.classes[i]);
    base[i] = c.base, context[i] = c.context, flip[i] = c.flip;
  }
}

void reconstruct(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps, int64_t n,
                 bool portable, int32_t* out) {
  const int64_t begin = by_vectors(n, portable);
#if defined(__x86_64__)
  if (begin) reconstruct_avx2(base, flip, symbols, steps, begin, out);
#elif defined(__wasm_simd128__)
  if (begin) reconstruct_simd128(base, flip, symbols, steps, begin, out);
#endif
  for (int64_t i = begin; i < n; ++i) out[i] = value_of(base[i], flip[i], symbols[i], steps[i]);
}

}  // namespace scenepress
