// What the loops over a level do for one splat, in C++ and in CUDA: docs/spec/learned_context.md, integers only.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/learned.h"

namespace scenepress {

// A level with its features int8 [kFeatures, n] and its neighbours int32 [n, 4].
struct SeenLevel {
  int64_t n;
  const int32_t* near;
  int8_t* features;
};

struct TileArrays {
  const int32_t* values;   // [channels, capacity]
  const int32_t* logs;     // [3, capacity]
  const uint8_t* classes;  // [capacity]
  int64_t capacity, first;
  int32_t origin;
};

struct Predicted {
  int32_t* base;
  uint8_t* context;
  uint8_t* flip;
  int32_t* prediction;
};

SP_HOST_DEVICE inline int8_t feature_of(int32_t v) { return static_cast<int8_t>(clamp_to(v, -127, 127)); }

SP_HOST_DEVICE inline int8_t size_feature(int32_t log, int32_t origin) { return feature_of((log - origin) >> 5); }

// Rows kCommonRow .. kShapeRow - 1 of splat i.
SP_HOST_DEVICE inline void level_features_of(const TileArrays& tile, const int32_t* far, const SeenLevel& level,
                                             int64_t i) {
  const int32_t* d = far + kNearest * i;
  int8_t* out = level.features + kCommonRow * level.n + i;
  const int own = tile.classes[tile.first + i];
  *out = feature_of(8 * own - 64);
  out += level.n;
  for (int k = 0; k < 2; ++k) {
    const int64_t at = level.near[kNearest * i + k];
    int32_t top = tile.logs[at];
    for (int a = 1; a < 3; ++a)
      top = tile.logs[a * tile.capacity + at] > top ? tile.logs[a * tile.capacity + at] : top;
    const int32_t clear = -tile.values[3 * tile.capacity + at] >> 3;
    out[k * level.n] = feature_of(8 * (tile.classes[at] - own));
    out[(2 + k) * level.n] = feature_of(clear < 0 ? 0 : clear);
    out[(8 + k) * level.n] = size_feature(top, tile.origin);
  }
  out[4 * level.n] = feature_of(d[0] >> 3);
  for (int k = 1; k < kNearest; ++k) out[(4 + k) * level.n] = feature_of((d[k] - d[0]) >> 2);
}

// What a decoded channel tells later ones of splat i: how far its prediction was off.
SP_HOST_DEVICE inline void residual_features_of(const SeenLevel& level, int channel, int32_t difference,
                                                int32_t step, int64_t i) {
  const int32_t v = squash(difference, step);
  level.features[(kResidualRow + channel) * level.n + i] = static_cast<int8_t>(v);
  level.features[(kSizeRow + channel) * level.n + i] = static_cast<int8_t>(v < 0 ? -v : v);
}

// The prediction of splat i from its neighbours in columns a and b.
SP_HOST_DEVICE inline int32_t linear_prediction_of(const Prediction& p, int64_t a, int64_t b, int64_t i) {
  const int32_t* own = p.values + p.first;
  const int32_t* channel = p.values + p.channel * p.capacity;
  const int32_t* w = p.weights + 2;
  int64_t sum = 2048 + p.weights[0] * int64_t{channel[a]} + p.weights[1] * int64_t{channel[b]};
  for (int64_t j = 0; j < p.input_count; ++j, w += 3) {
    const int64_t row = p.inputs[j] * p.capacity;
    sum += w[0] * int64_t{own[row + i]} + w[1] * int64_t{p.values[row + a]} + w[2] * int64_t{p.values[row + b]};
  }
  return static_cast<int32_t>(saturate(p.bias[p.classes[i]] + (sum >> 12)));
}

// Rows 0 .. kCommonRow - 1, from the channel's values at the neighbours.
SP_HOST_DEVICE inline void channel_features_of(const int32_t (&around)[kNearest], int32_t prediction, int32_t step,
                                               int32_t (&out)[kCommonRow]) {
  int32_t low = around[0], high = around[0];
  for (int k = 0; k < kNearest; ++k) {
    out[k] = squash(around[k] - prediction, step);
    low = around[k] < low ? around[k] : low;
    high = around[k] > high ? around[k] : high;
  }
  const int32_t gap = around[0] - around[1];
  out[kNearest] = squash_size(gap < 0 ? -gap : gap, step);
  out[kNearest + 1] = squash_size(high - low, step);
  out[kNearest + 2] = squash(prediction, step);
  out[kNearest + 3] = clamp_to(log16(step) - 128, -127, 127);
}

struct LearnedContext {
  int32_t base, context, flip;
};

// From the head's two sums; eighths: floor((16 prediction + step) / (2 step)).
SP_HOST_DEVICE inline LearnedContext learned_context_of(int32_t correction, int32_t spread, int32_t eighths,
                                                        int32_t importance, int32_t spreads) {
  const int32_t e = eighths + clamp_to(correction >> kHeadShift, -kCorrection, kCorrection);
  const int32_t base = (e + 4) >> 3, fraction = e - 8 * base, distance = fraction < 0 ? -fraction : fraction;
  const int32_t phase = (distance > 0) + (distance > 2);
  const int32_t bin = clamp_to(spread >> kHeadShift, 0, spreads - 2);
  return {base, (importance * kPhases + phase) * spreads + bin, fraction < 0};
}

}  // namespace scenepress
