// Loops of the learned context model over the splats of a level: core/learned.h, docs/spec/learned_context.md.
#pragma once

#include <cstdint>

#include "core/learned.h"
#include "cpu/context.h"

namespace scenepress {

// out, far int32 [n, 4]; otherwise as neighbours().
void nearest(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out, int32_t* far);

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

// Of one channel of the scene: the shipped hidden layer, and the file's own output layer.
struct Network {
  const int8_t* hidden;  // [kHidden, kFeatures]
  const int32_t* hidden_bias;
  const int8_t* head;  // [2, kFeatures + kHidden]
  const int32_t* head_bias;
  int32_t spreads;
};

struct Predicted {
  int32_t* base;
  uint8_t* context;
  uint8_t* flip;
  int32_t* prediction;
};

void level_features(const TileArrays& tile, const int32_t* far, const SeenLevel& level);
void shape_features(const int32_t* logs, int32_t origin, const SeenLevel& level);

// Compiled as they are, and for AVX2; both give the same.
struct LearnedKernels {
  void (*linear)(const Prediction& p, const SeenLevel& level, int32_t* out);
  void (*residuals)(const SeenLevel& level, int channel, const int32_t* values, const int32_t* predictions,
                    const int32_t* steps);
  void (*predict)(const Prediction& p, const SeenLevel& level, const Network& network, const Predicted& out);
};

const LearnedKernels& portable_learned_kernels();
const LearnedKernels* avx2_learned_kernels();  // null where the compiler cannot make them
const LearnedKernels& learned_kernels(bool portable);

}  // namespace scenepress
