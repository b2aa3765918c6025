// The loops of context.cpp over vectors, with the same results: integers decide every one of them. A file that
// includes this has said before what its vectors are: Lanes (kLanes int32), Wide (as many int64), Places
// (indices), and load, store, splat, add, subtract, multiply, absolute, flip_bits, greater (-1 where true), least,
// most, shift_left, shift_right, times, plus, narrow, shift_wide, wide_splat, clamp_wide, quotient, gather,
// load_places, load_neighbours, load_bytes, store_bytes.
#pragma once

#include <cstdint>

#include "core/context.h"
#include "cpu/context.h"

namespace scenepress {
namespace {

inline Lanes clamp(Lanes v, int32_t limit) { return most(least(v, splat(limit)), splat(-limit)); }

// floor(a / b) for |a| < 2^30, 0 < b < 2^18. The quotient of floats is at most one off; integers settle it.
inline Lanes floor_divide(Lanes a, Lanes b) {
  const Lanes q = quotient(a, b), rest = subtract(a, multiply(q, b));
  const Lanes below = greater(splat(0), rest), above = greater(rest, subtract(b, splat(1)));
  return subtract(add(q, below), above);
}

inline Wide weighted(int32_t weight, Lanes values) { return times(splat(weight), values); }

inline Lanes spread_bins(Lanes a, Lanes b, Lanes step) {
  const Lanes gap = absolute(subtract(a, b));
  const Lanes less =
      add(add(greater(step, add(gap, gap)), greater(add(step, step), gap)), greater(shift_left<3>(step), gap));
  return add(splat(3), less);
}

// The sum of context.md, section 2, for the splats from i on, and their spread.
inline Wide weighted_sum(const Prediction& p, int64_t i, Lanes step, Lanes* spread) {
  const int32_t* own = p.values + p.first + i;
  const int32_t* w = p.weights;
  Wide sum = wide_splat(2048);
  *spread = splat(kSpreads - 1);
  if (!p.near) {
    for (int64_t j = 0; j < p.input_count; ++j)
      sum = plus(sum, weighted(w[j], load(own + p.inputs[j] * p.capacity)));
    return sum;
  }
  const Neighbours at = load_neighbours(p.near + 2 * i);
  const int32_t* channel = p.values + p.channel * p.capacity;
  const Lanes a = gather(channel, at.a), b = gather(channel, at.b);
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

inline void predict_vectors(const Prediction& p, int64_t n, int32_t* base, uint8_t* context, uint8_t* flip) {
  const Lanes zero = splat(0), two = splat(2);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Lanes step = load(p.steps + i);
    Lanes spread;
    const Wide sum = weighted_sum(p, i, step, &spread);
    // Below 2^43, so that what is left after the shift fits 32 bits whatever is shifted in above.
    const Lanes mean = narrow(shift_wide<12>(sum));
    const Lanes prediction =
        clamp(add(mean, gather(p.bias, load_places(p.classes + i))), static_cast<int32_t>(kLimit));
    const Lanes eighths = floor_divide(add(shift_left<4>(prediction), step), add(step, step));
    const Lanes whole = shift_right<3>(add(eighths, splat(4)));
    const Lanes fraction = subtract(eighths, shift_left<3>(whole));
    const Lanes distance = absolute(fraction);
    const Lanes phase = subtract(zero, add(greater(distance, zero), greater(distance, two)));
    const Lanes importance = load_bytes(p.classes + i);
    const Lanes bin = add(multiply(add(multiply(importance, splat(kPhases)), phase), splat(kSpreads)), spread);
    store(base + i, whole);
    store_bytes(context + i, bin);
    store_bytes(flip + i, subtract(zero, greater(zero, fraction)));
  }
}

inline void reconstruct_vectors(const int32_t* base, const uint8_t* flip, const int32_t* symbols,
                                const int32_t* steps, int64_t n, int32_t* out) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Lanes minus = greater(load_bytes(flip + i), splat(0));
    const Lanes k = subtract(flip_bits(load(symbols + i), minus), minus);
    const Wide value = times(add(load(base + i), k), load(steps + i));
    store(out + i, narrow({clamp_wide(value.first, kLimit), clamp_wide(value.second, kLimit)}));
  }
}

}  // namespace
}  // namespace scenepress
