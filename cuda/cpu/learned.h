// Loops of the learned context model over the splats of a level; what each computes stands in core/learned*.h.
#pragma once

#include <cstdint>

#include "core/learned_network.h"

namespace scenepress {

// out, far int32 [n, 4]; otherwise as neighbours() of cpu/context.h.
void nearest(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out, int32_t* far);

void level_features(const TileArrays& tile, const int32_t* far, const SeenLevel& level);
void shape_features(const int32_t* logs, int32_t origin, const SeenLevel& level);

// Compiled as they are, and for AVX2; both give the same.
struct LearnedKernels {
  void (*linear)(const Prediction& p, const SeenLevel& level, int32_t* out);
  void (*residuals)(const SeenLevel& level, int channel, const int32_t* values, const int32_t* predictions,
                    const int32_t* steps);
  void (*predict)(const Prediction& p, const SeenLevel& level, const Network& network, const Predicted& out);
};

// LearnedKernels::predict of fewer splats than make a block: one by one, as on a device.
void predict_few(const Prediction& p, const SeenLevel& level, const Network& network, const Predicted& out);

const LearnedKernels& portable_learned_kernels();
const LearnedKernels* avx2_learned_kernels();  // null where the compiler cannot make them
const LearnedKernels& learned_kernels(bool portable);

}  // namespace scenepress
