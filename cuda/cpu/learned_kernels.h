// The inner loops of the learned context model: compiled as they are, and for AVX2. They call nothing of the
// standard library but memcpy: see raster_avx2fma.cpp.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

#include "cpu/learned.h"

namespace scenepress {
namespace {

constexpr int kLanes = 16;  // splats of a block
constexpr int kUnits = kFeatures + kHidden;

void linear_predictions(const Prediction& p, const SeenLevel& level, int32_t* out) {
  for (int64_t i = 0; i < level.n; ++i)
    out[i] = linear_prediction_of(p, level.near[kNearest * i], level.near[kNearest * i + 1], i);
}

void residual_features(const SeenLevel& level, int channel, const int32_t* values, const int32_t* predictions,
                       const int32_t* steps) {
  for (int64_t i = 0; i < level.n; ++i)
    residual_features_of(level, channel, values[i] - predictions[i], steps[i], i);
}

// What the inner loops read, copied so that the compiler knows that nothing they write is read again.
struct Block {
  int32_t around[kNearest][kLanes];
  int32_t prediction[kLanes];
  int32_t step[kLanes];
  int32_t importance[kLanes];
};

void fill_block(const Prediction& p, const SeenLevel& level, const int32_t* predictions, int64_t begin,
                Block* out) {
  const int32_t* channel = p.values + p.channel * p.capacity;
  for (int i = 0; i < kLanes; ++i) {
    const int64_t at = begin + i;
    for (int k = 0; k < kNearest; ++k) out->around[k][i] = channel[level.near[kNearest * at + k]];
    out->prediction[i] = predictions[at];
    out->step[i] = p.steps[at];
    out->importance[i] = p.classes[at];
  }
}

// Rows 0 .. kCommonRow - 1 of the features.
void channel_features(const Block& b, const SeenLevel& level, int64_t begin) {
  int32_t found[kCommonRow][kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const int32_t around[kNearest] = {b.around[0][i], b.around[1][i], b.around[2][i], b.around[3][i]};
    int32_t own[kCommonRow];
    channel_features_of(around, b.prediction[i], b.step[i], own);
    for (int k = 0; k < kCommonRow; ++k) found[k][i] = own[k];
  }
  for (int k = 0; k < kCommonRow; ++k) {
    int8_t row[kLanes];
    for (int i = 0; i < kLanes; ++i) row[i] = static_cast<int8_t>(found[k][i]);
    std::memcpy(level.features + k * level.n + begin, row, kLanes);
  }
}

#if !defined(__wasm_simd128__)
struct PackedLayers {  // Weights as the vectors want them: as they are.
  explicit PackedLayers(const Network&) {}
};
#endif

// The head's two sums for kLanes splats whose features are `stride` apart.
#if defined(__AVX2__)
struct Pairs {
  __m256i low, high;  // (a, b) of splats 0..3 and 8..11; of 4..7 and 12..15
};

inline Pairs pairs_of(__m256i a, __m256i b) { return {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)}; }

inline __m256i widen(const int8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline Pairs dense(const Pairs* x, int pairs, const int8_t* weights, int32_t bias) {
  Pairs sum{_mm256_set1_epi32(bias), _mm256_set1_epi32(bias)};
  for (int k = 0; k < pairs; ++k) {
    const uint32_t pair = static_cast<uint16_t>(weights[2 * k]) | static_cast<uint32_t>(weights[2 * k + 1]) << 16;
    const __m256i w = _mm256_set1_epi32(static_cast<int32_t>(pair));
    sum.low = _mm256_add_epi32(sum.low, _mm256_madd_epi16(x[k].low, w));
    sum.high = _mm256_add_epi32(sum.high, _mm256_madd_epi16(x[k].high, w));
  }
  return sum;
}

void network_of(const int8_t* features, int64_t stride, const Network& n, const PackedLayers&,
                int32_t (*out)[kLanes]) {
  static_assert(kFeatures % 2 == 0 && kHidden % 2 == 0, "inputs go in pairs");
  Pairs x[kUnits / 2];
  for (int k = 0; k < kFeatures / 2; ++k)
    x[k] = pairs_of(widen(features + 2 * k * stride), widen(features + (2 * k + 1) * stride));
  const __m256i zero = _mm256_setzero_si256(), top = _mm256_set1_epi16(127);
  for (int h = 0; h < kHidden; h += 2) {
    __m256i unit[2];
    for (int k = 0; k < 2; ++k) {
      const Pairs sum = dense(x, kFeatures / 2, n.hidden + (h + k) * kFeatures, n.hidden_bias[h + k]);
      const __m256i both =
          _mm256_packs_epi32(_mm256_srai_epi32(sum.low, kHiddenShift), _mm256_srai_epi32(sum.high, kHiddenShift));
      unit[k] = _mm256_min_epi16(_mm256_max_epi16(both, zero), top);
    }
    x[(kFeatures + h) / 2] = pairs_of(unit[0], unit[1]);
  }
  for (int o = 0; o < 2; ++o) {
    const Pairs sum = dense(x, kUnits / 2, n.head + o * kUnits, n.head_bias[o]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out[o]), _mm256_permute2x128_si256(sum.low, sum.high, 0x20));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out[o] + 8),
                        _mm256_permute2x128_si256(sum.low, sum.high, 0x31));
  }
}
#elif defined(__wasm_simd128__)
struct Pairs {
  v128_t of[4];  // (a, b) of splats 0..3, 4..7, 8..11, 12..15
};

inline Pairs pairs_of(v128_t a_low, v128_t a_high, v128_t b_low, v128_t b_high) {
  return {{wasm_i16x8_shuffle(a_low, b_low, 0, 8, 1, 9, 2, 10, 3, 11),
           wasm_i16x8_shuffle(a_low, b_low, 4, 12, 5, 13, 6, 14, 7, 15),
           wasm_i16x8_shuffle(a_high, b_high, 0, 8, 1, 9, 2, 10, 3, 11),
           wasm_i16x8_shuffle(a_high, b_high, 4, 12, 5, 13, 6, 14, 7, 15)}};
}

inline Pairs pairs_of(const int8_t* first, const int8_t* second) {
  const v128_t a = wasm_v128_load(first), b = wasm_v128_load(second);
  return pairs_of(wasm_i16x8_extend_low_i8x16(a), wasm_i16x8_extend_high_i8x16(a), wasm_i16x8_extend_low_i8x16(b),
                  wasm_i16x8_extend_high_i8x16(b));
}

// Weights of two units or sums, in pairs: once a level, not once a block.
template <int kPairs>
struct PackedRows {
  int32_t pair[kPairs][2];

  PackedRows(const int8_t* first, const int8_t* second) {
    const auto packed = [](const int8_t* w) {
      return static_cast<int32_t>(static_cast<uint16_t>(w[0]) | static_cast<uint32_t>(w[1]) << 16);
    };
    for (int k = 0; k < kPairs; ++k) pair[k][0] = packed(first + 2 * k), pair[k][1] = packed(second + 2 * k);
  }
  PackedRows() = default;
};

struct PackedLayers {
  PackedRows<kFeatures / 2> hidden[kHidden / 2];
  PackedRows<kUnits / 2> head;

  explicit PackedLayers(const Network& n) : head(n.head, n.head + kUnits) {
    for (int h = 0; h < kHidden; h += 2)
      hidden[h / 2] = {n.hidden + h * kFeatures, n.hidden + (h + 1) * kFeatures};
  }
};

// Two sums at a time: a load of inputs serves both.
template <int kPairs>
inline void dense(const Pairs* x, const PackedRows<kPairs>& weights, const int32_t* bias, Pairs (&sum)[2]) {
  for (int k = 0; k < 2; ++k)
    for (v128_t& four : sum[k].of) four = wasm_i32x4_splat(bias[k]);
  for (int k = 0; k < kPairs; ++k) {
    const v128_t first = wasm_v128_load32_splat(&weights.pair[k][0]);
    const v128_t second = wasm_v128_load32_splat(&weights.pair[k][1]);
    for (int q = 0; q < 4; ++q) {
      sum[0].of[q] = wasm_i32x4_add(sum[0].of[q], wasm_i32x4_dot_i16x8(x[k].of[q], first));
      sum[1].of[q] = wasm_i32x4_add(sum[1].of[q], wasm_i32x4_dot_i16x8(x[k].of[q], second));
    }
  }
}

void network_of(const int8_t* features, int64_t stride, const Network& n, const PackedLayers& layers,
                int32_t (*out)[kLanes]) {
  static_assert(kFeatures % 2 == 0 && kHidden % 2 == 0, "inputs go in pairs");
  Pairs x[kUnits / 2], sum[2];
  for (int k = 0; k < kFeatures / 2; ++k)
    x[k] = pairs_of(features + 2 * k * stride, features + (2 * k + 1) * stride);
  const v128_t zero = wasm_i16x8_splat(0), top = wasm_i16x8_splat(127);
  for (int h = 0; h < kHidden; h += 2) {
    dense(x, layers.hidden[h / 2], n.hidden_bias + h, sum);
    v128_t unit[2][2];
    for (int k = 0; k < 2; ++k)
      for (int half = 0; half < 2; ++half) {
        const v128_t eight = wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(sum[k].of[2 * half], kHiddenShift),
                                                     wasm_i32x4_shr(sum[k].of[2 * half + 1], kHiddenShift));
        unit[k][half] = wasm_i16x8_min(wasm_i16x8_max(eight, zero), top);
      }
    x[(kFeatures + h) / 2] = pairs_of(unit[0][0], unit[0][1], unit[1][0], unit[1][1]);
  }
  dense(x, layers.head, n.head_bias, sum);
  for (int o = 0; o < 2; ++o)
    for (int q = 0; q < 4; ++q) wasm_v128_store(out[o] + 4 * q, sum[o].of[q]);
}
#else
void network_of(const int8_t* features, int64_t stride, const Network& n, const PackedLayers&,
                int32_t (*out)[kLanes]) {
  int32_t hidden[kHidden][kLanes];
  for (int h = 0; h < kHidden; ++h) {
    for (int i = 0; i < kLanes; ++i) hidden[h][i] = n.hidden_bias[h];
    for (int k = 0; k < kFeatures; ++k)
      for (int i = 0; i < kLanes; ++i) hidden[h][i] += n.hidden[h * kFeatures + k] * features[k * stride + i];
    for (int i = 0; i < kLanes; ++i) hidden[h][i] = clamp_to(hidden[h][i] >> kHiddenShift, 0, 127);
  }
  for (int o = 0; o < 2; ++o) {
    const int8_t* w = n.head + o * kUnits;
    for (int i = 0; i < kLanes; ++i) out[o][i] = n.head_bias[o];
    for (int k = 0; k < kFeatures; ++k)
      for (int i = 0; i < kLanes; ++i) out[o][i] += w[k] * features[k * stride + i];
    for (int h = 0; h < kHidden; ++h)
      for (int i = 0; i < kLanes; ++i) out[o][i] += w[kFeatures + h] * hidden[h][i];
  }
}
#endif

// Base, context and flip of a block, from the sums of its head.
struct Choice {
  int32_t base[kLanes];
  int32_t context[kLanes];
  int32_t flip[kLanes];
};

void choose(const Block& b, const int32_t (*sums)[kLanes], int32_t spreads, Choice* out) {
  for (int i = 0; i < kLanes; ++i) {
    const int32_t eighths = floor_div_double(16 * b.prediction[i] + b.step[i], 2 * b.step[i]);
    const LearnedContext c = learned_context_of(sums[0][i], sums[1][i], eighths, b.importance[i], spreads);
    out->base[i] = c.base, out->context[i] = c.context, out->flip[i] = c.flip;
  }
}

void learned_predictions(const Prediction& p, const SeenLevel& level, const Network& network,
                         const Predicted& out) {
  if (level.n < kLanes) return predict_few(p, level, network, out);
  linear_predictions(p, level, out.prediction);
  const PackedLayers layers(network);
  for (int64_t at = 0; at < level.n; at += kLanes) {
    // The last block ends where the level does: what it shares with the one before comes out the same again.
    const int64_t begin = at + kLanes > level.n ? level.n - kLanes : at;
    Block block;
    Choice choice;
    int32_t sums[2][kLanes];
    fill_block(p, level, out.prediction, begin, &block);
    channel_features(block, level, begin);
    network_of(level.features + begin, level.n, network, layers, sums);
    choose(block, sums, network.spreads, &choice);
    std::memcpy(out.base + begin, choice.base, sizeof(choice.base));
    for (int i = 0; i < kLanes; ++i) {
      out.context[begin + i] = static_cast<uint8_t>(choice.context[i]);
      out.flip[begin + i] = static_cast<uint8_t>(choice.flip[i]);
    }
  }
}

}  // namespace
}  // namespace scenepress
