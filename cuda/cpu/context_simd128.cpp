// The loops of context_vectors.h, four splats at a time: WebAssembly.
#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <cstddef>
#include <cstdint>

namespace scenepress {
namespace {

using Lanes = v128_t;
constexpr int64_t kLanes = 4;

inline Lanes load(const int32_t* p) { return wasm_v128_load(p); }
inline void store(int32_t* p, Lanes v) { wasm_v128_store(p, v); }
inline Lanes splat(int32_t value) { return wasm_i32x4_splat(value); }
inline Lanes add(Lanes a, Lanes b) { return wasm_i32x4_add(a, b); }
inline Lanes subtract(Lanes a, Lanes b) { return wasm_i32x4_sub(a, b); }
inline Lanes multiply(Lanes a, Lanes b) { return wasm_i32x4_mul(a, b); }
inline Lanes absolute(Lanes v) { return wasm_i32x4_abs(v); }
inline Lanes flip_bits(Lanes a, Lanes b) { return wasm_v128_xor(a, b); }
inline Lanes greater(Lanes a, Lanes b) { return wasm_i32x4_gt(a, b); }
inline Lanes least(Lanes a, Lanes b) { return wasm_i32x4_min(a, b); }
inline Lanes most(Lanes a, Lanes b) { return wasm_i32x4_max(a, b); }
template <int kBits>
inline Lanes shift_left(Lanes v) {
  return wasm_i32x4_shl(v, kBits);
}
template <int kBits>
inline Lanes shift_right(Lanes v) {
  return wasm_i32x4_shr(v, kBits);
}

// Those of the first two lanes, then those of the others.
struct Wide {
  v128_t first, second;
};

inline Wide wide_splat(int64_t value) { return {wasm_i64x2_splat(value), wasm_i64x2_splat(value)}; }

inline Wide times(Lanes a, Lanes b) {
  return {wasm_i64x2_extmul_low_i32x4(a, b), wasm_i64x2_extmul_high_i32x4(a, b)};
}

inline Wide plus(Wide a, Wide b) { return {wasm_i64x2_add(a.first, b.first), wasm_i64x2_add(a.second, b.second)}; }

template <int kBits>
inline Wide shift_wide(Wide a) {
  return {wasm_u64x2_shr(a.first, kBits), wasm_u64x2_shr(a.second, kBits)};
}

// The low halves, lane by lane.
inline Lanes narrow(Wide a) { return wasm_i32x4_shuffle(a.first, a.second, 0, 2, 4, 6); }

inline v128_t clamp_wide(v128_t v, int64_t limit) {
  const v128_t high = wasm_i64x2_splat(limit), low = wasm_i64x2_splat(-limit);
  v = wasm_v128_bitselect(high, v, wasm_i64x2_gt(v, high));
  return wasm_v128_bitselect(low, v, wasm_i64x2_gt(low, v));
}

inline Lanes quotient(Lanes a, Lanes b) {
  const auto divide = [](v128_t x, v128_t y) {
    return wasm_i32x4_trunc_sat_f64x2_zero(
        wasm_f64x2_div(wasm_f64x2_convert_low_i32x4(x), wasm_f64x2_convert_low_i32x4(y)));
  };
  const auto upper = [](v128_t v) { return wasm_i32x4_shuffle(v, v, 2, 3, 2, 3); };
  return wasm_i64x2_shuffle(divide(a, b), divide(upper(a), upper(b)), 0, 2);
}

struct Places {
  int32_t of[4];
};

struct Neighbours {
  Places a, b;
};

inline Neighbours load_neighbours(const int32_t* near) {
  return {{{near[0], near[2], near[4], near[6]}}, {{near[1], near[3], near[5], near[7]}}};
}

inline Places load_places(const uint8_t* four) { return {{four[0], four[1], four[2], four[3]}}; }

inline Lanes gather(const int32_t* row, const Places& at) {
  v128_t v = wasm_v128_load32_zero(row + at.of[0]);
  v = wasm_v128_load32_lane(row + at.of[1], v, 1);
  v = wasm_v128_load32_lane(row + at.of[2], v, 2);
  return wasm_v128_load32_lane(row + at.of[3], v, 3);
}

inline Lanes load_bytes(const uint8_t* four) {
  return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(four)));
}

// The low byte of each lane.
inline void store_bytes(uint8_t* out, Lanes v) {
  wasm_v128_store32_lane(out, wasm_i8x16_shuffle(v, v, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0);
}

}  // namespace
}  // namespace scenepress

#include "cpu/context_vectors.h"

namespace scenepress {

void predict_simd128(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip) {
  predict_vectors(p, n, base, context, flip);
}

void reconstruct_simd128(const int32_t* base, const uint8_t* flip, const int32_t* symbols, const int32_t* steps,
                         int64_t n, int32_t* out) {
  reconstruct_vectors(base, flip, symbols, steps, n, out);
}

}  // namespace scenepress

#endif  // __wasm_simd128__
