// CUDA launchers of the position stage: docs/spec/position.md. Device pointers; none of them synchronises.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/position.h"

namespace scenepress {

// One payload and where its codes go; arguments as of decode_positions(), *model not initialised.
struct PositionStream {
  const uint8_t* payload;
  size_t size;
  uint64_t* codes;
  uint32_t n;
  const uint64_t* coarse;
  uint32_t m;
  int bits;
  PositionModel* model;
  PositionNode* nodes;
  PositionResult* result;
};

// initial: initial_position_model(), copied to the device.
void decode_positions_cuda(const PositionStream* streams, const PositionModel* initial, int count, void* stream);

void morton_codes_cuda(const uint32_t* xyz, uint64_t* codes, int64_t n, void* stream);
void morton_cells_cuda(const uint64_t* codes, uint32_t* xyz, int64_t n, void* stream);

}  // namespace scenepress
