// The loops of context.cpp, four splats at a time, with the same results: the twin of context_avx2.cpp.
#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <cstddef>

#include "core/context.h"
#include "cpu/context.h"

namespace scenepress {

namespace {

// Four 64-bit integers.
struct Wide {
  v128_t low, high;
};

inline Wide times(v128_t a, v128_t b) {
  return {wasm_i64x2_extmul_low_i32x4(a, b), wasm_i64x2_extmul_high_i32x4(a, b)};
}

inline Wide plus(Wide a, Wide b) { return {wasm_i64x2_add(a.low, b.low), wasm_i64x2_add(a.high, b.high)}; }

// The low halves, lane by lane.
inline v128_t narrow(Wide a) { return wasm_i32x4_shuffle(a.low, a.high, 0, 2, 4, 6); }

inline v128_t clamp(v128_t v, int32_t limit) {
  return wasm_i32x4_max(wasm_i32x4_min(v, wasm_i32x4_splat(limit)), wasm_i32x4_splat(-limit));
}

inline v128_t clamp_wide(v128_t v, int64_t limit) {
  const v128_t high = wasm_i64x2_splat(limit), low = wasm_i64x2_splat(-limit);
  v = wasm_v128_bitselect(high, v, wasm_i64x2_gt(v, high));
  return wasm_v128_bitselect(low, v, wasm_i64x2_gt(low, v));
}

// floor(a / b) for |a| < 2^30, 0 < b < 2^18. The quotient of the floats is at most one off; integers settle it.
inline v128_t floor_divide(v128_t a, v128_t b) {
  const auto divide = [](v128_t x, v128_t y) {
    return wasm_i32x4_trunc_sat_f64x2_zero(
        wasm_f64x2_div(wasm_f64x2_convert_low_i32x4(x), wasm_f64x2_convert_low_i32x4(y)));
  };
  const auto upper = [](v128_t v) { return wasm_i32x4_shuffle(v, v, 2, 3, 2, 3); };
  const v128_t q = wasm_i64x2_shuffle(divide(a, b), divide(upper(a), upper(b)), 0, 2);
  const v128_t rest = wasm_i32x4_sub(a, wasm_i32x4_mul(q, b));
  const v128_t below = wasm_i32x4_shr(rest, 31);  // -1 where true
  return wasm_i32x4_sub(wasm_i32x4_add(q, below), wasm_i32x4_ge(rest, b));
}

struct Neighbours {
  int32_t a[4], b[4];
};

inline v128_t gather(const int32_t* row, const int32_t* at) {
  v128_t v = wasm_v128_load32_zero(row + at[0]);
  v = wasm_v128_load32_lane(row + at[1], v, 1);
  v = wasm_v128_load32_lane(row + at[2], v, 2);
  return wasm_v128_load32_lane(row + at[3], v, 3);
}

inline Wide weighted(int32_t weight, v128_t values) { return times(wasm_i32x4_splat(weight), values); }

inline v128_t spread_bins(v128_t a, v128_t b, v128_t step) {
  const v128_t gap = wasm_i32x4_abs(wasm_i32x4_sub(a, b));
  const v128_t less = wasm_i32x4_add(wasm_i32x4_add(wasm_i32x4_gt(step, wasm_i32x4_add(gap, gap)),
                                                    wasm_i32x4_gt(wasm_i32x4_add(step, step), gap)),
                                     wasm_i32x4_gt(wasm_i32x4_shl(step, 3), gap));
  return wasm_i32x4_add(wasm_i32x4_splat(3), less);
}

inline v128_t load_bytes(const uint8_t* four) {
  return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(four)));
}

// The low byte of each lane.
inline void store_bytes(uint8_t* out, v128_t v) {
  wasm_v128_store32_lane(out, wasm_i8x16_shuffle(v, v, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0);
}

// The sum of context.md, section 2, for splats i .. i + 3, and their spread.
inline Wide weighted_sum(const Prediction& p, int64_t i, v128_t step, v128_t* spread) {
  const int32_t* own = p.values + p.first + i;
  const int32_t* w = p.weights;
  const v128_t half = wasm_i64x2_splat(2048);
  Wide sum{half, half};
  *spread = wasm_i32x4_splat(kSpreads - 1);
  if (!p.near) {
    for (int64_t j = 0; j < p.input_count; ++j)
      sum = plus(sum, weighted(w[j], wasm_v128_load(own + p.inputs[j] * p.capacity)));
    return sum;
  }
  Neighbours at;
  for (int k = 0; k < 4; ++k) at.a[k] = p.near[2 * (i + k)], at.b[k] = p.near[2 * (i + k) + 1];
  const int32_t* channel = p.values + p.channel * p.capacity;
  const v128_t a = gather(channel, at.a), b = gather(channel, at.b);
  sum = plus(sum, plus(weighted(w[0], a), weighted(w[1], b)));
  *spread = spread_bins(a, b, step);
  w += 2;
  for (int64_t j = 0; j < p.input_count; ++j, w += 3) {
    const int64_t row = p.inputs[j] * p.capacity;
    sum = plus(sum, weighted(w[0], wasm_v128_load(own + row)));
    sum = plus(sum,
               plus(weighted(w[1], gather(p.values + row, at.a)), weighted(w[2], gather(p.values + row, at.b))));
  }
  return sum;
}

}  // namespace

void predict_simd128(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip) {
  const v128_t zero = wasm_i32x4_splat(0), two = wasm_i32x4_splat(2);
  for (int64_t i = 0; i < n; i += 4) {
    const v128_t step = wasm_v128_load(p.steps + i), importance = load_bytes(p.classes + i);
    v128_t spread;
    const Wide sum = weighted_sum(p, i, step, &spread);
    // Below 2^43, so that what is left after the shift fits 32 bits whatever is shifted in above.
    const v128_t mean = narrow({wasm_u64x2_shr(sum.low, 12), wasm_u64x2_shr(sum.high, 12)});
    const int32_t bin_of[4] = {p.classes[i], p.classes[i + 1], p.classes[i + 2], p.classes[i + 3]};
    const v128_t prediction = clamp(wasm_i32x4_add(mean, gather(p.bias, bin_of)), static_cast<int32_t>(kLimit));
    const v128_t eighths =
        floor_divide(wasm_i32x4_add(wasm_i32x4_shl(prediction, 4), step), wasm_i32x4_add(step, step));
    const v128_t whole = wasm_i32x4_shr(wasm_i32x4_add(eighths, wasm_i32x4_splat(4)), 3);
    const v128_t fraction = wasm_i32x4_sub(eighths, wasm_i32x4_shl(whole, 3));
    const v128_t distance = wasm_i32x4_abs(fraction);
    const v128_t phase =
        wasm_i32x4_sub(zero, wasm_i32x4_add(wasm_i32x4_gt(distance, zero), wasm_i32x4_gt(distance, two)));
    const v128_t bin =
        wasm_i32x4_add(wasm_i32x4_mul(wasm_i32x4_add(wasm_i32x4_mul(importance, wasm_i32x4_splat(kPhases)), phase),
                                      wasm_i32x4_splat(kSpreads)),
                       spread);
    wasm_v128_store(base + i, whole);
    store_bytes(context + i, bin);
    store_bytes(flip + i, wasm_u32x4_shr(fraction, 31));
  }
}

void reconstruct_simd128(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                         int64_t n, int32_t* out) {
  for (int64_t i = 0; i < n; i += 4) {
    const v128_t minus = wasm_i32x4_gt(load_bytes(flip + i), wasm_i32x4_splat(0));
    const v128_t k = wasm_i32x4_sub(wasm_v128_xor(wasm_v128_load(symbols + i), minus), minus);
    const Wide value = times(wasm_i32x4_add(wasm_v128_load(base + i), k), wasm_v128_load(steps + i));
    wasm_v128_store(out + i, narrow({clamp_wide(value.low, kLimit), clamp_wide(value.high, kLimit)}));
  }
}

}  // namespace scenepress

#endif  // __wasm_simd128__
