// CUDA launchers of the learned context model: docs/spec/learned_context.md, one thread a splat. Device pointers,
// also in the structs; none of them synchronises but nearest_cuda(), which frees what it needed in between.
#pragma once

#include <cstdint>

#include "core/learned_network.h"

namespace scenepress {

// Codes in any order, sorted coarse codes, m > 0 -> out, far int32 [n, 4].
void nearest_cuda(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out, int32_t* far,
                  void* stream);

void level_features_cuda(const TileArrays& tile, const int32_t* far, const SeenLevel& level, void* stream);
void shape_features_cuda(const int32_t* logs, int32_t origin, const SeenLevel& level, void* stream);
void residual_features_cuda(const SeenLevel& level, int channel, const int32_t* values, const int32_t* predictions,
                            const int32_t* steps, void* stream);
void linear_prediction_cuda(const Prediction& p, const SeenLevel& level, int32_t* out, void* stream);

// The network travels with the launch.
void learned_predict_cuda(const Prediction& p, const SeenLevel& level, const PackedNetwork& network,
                          const Predicted& out, void* stream);

}  // namespace scenepress
