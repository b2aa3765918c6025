// Loops over the splats of a level; what each computes stands in core/context.h.
#pragma once

#include <cstdint>

#include "core/context.h"

namespace scenepress {

// out int32 [n, 2]: indices of two near coarse codes of every code; both inputs sorted, m > 0.
void neighbours(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out);

// Sorted codes, and the tile's column of each.
struct KnownCodes {
  const uint64_t* codes;
  const int32_t* columns;
  int64_t count;
};

// Merges the n sorted codes of a level, whose columns are first, first + 1, ...; equal codes stay in order of
// decoding. merged, merged_columns: [known.count + n].
void merge_codes(const KnownCodes& known, const uint64_t* codes, int64_t n, int32_t first, uint64_t* merged,
                 int32_t* merged_columns);

// Both give the same with plain C++ (portable) and with vectors. Symbols lie within +-2^26, as those of tokens do.
void predict(const Prediction& p, int64_t n, bool portable, int32_t* base, uint8_t* context, uint8_t* flip);
void reconstruct(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps, int64_t n,
                 bool portable, int32_t* out);

// For n that are multiples of 8.
void predict_avx2(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip);
void reconstruct_avx2(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                      int64_t n, int32_t* out);
// For n that are multiples of 4: WebAssembly.
void predict_simd128(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip);
void reconstruct_simd128(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                         int64_t n, int32_t* out);

}  // namespace scenepress
