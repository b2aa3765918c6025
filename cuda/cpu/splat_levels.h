// One call per attribute of a level: contexts, rANS and reconstruction, straight into the tile's arrays.
#pragma once

#include <cstdint>

#include "cpu/context.h"
#include "cpu/rans.h"

namespace scenepress {

// Decodes channel p.channel of the n splats of a level into `values` (p.values, writable). Throws
// std::invalid_argument for damaged payloads and contexts without a table.
void decode_channel(RansDecoder& decoder, const RansTables& tables, const Prediction& p, int64_t n,
                    int32_t* values);

struct ShLevel {
  int32_t* planes;  // [columns, capacity]
  int64_t capacity, columns, first, count;
  const int32_t* near;     // [count, 2], or null
  const uint8_t* classes;  // [count]
  const int32_t* steps;    // [count]
  const uint8_t* extents;  // [capacity], known before this level
  const int32_t* bounds;   // [16]: coefficients of each extent
  const int32_t* weights;  // [columns, 2] of sh_predict, or null
};

constexpr int kShGroups = 15;
struct ShRows;

// Decodes extents (to out_extents [count]) and coefficients of a level. group_tables [15] may hold nulls.
void decode_sh_level(RansDecoder& decoder, const RansTables& extent_tables, const RansTables* const* group_tables,
                     const ShLevel& level, uint8_t* out_extents);
// The same into `rows` instead of level.planes; out_extents lie behind level.extents, at level.first.
void decode_sh_rows(RansDecoder& decoder, const RansTables& extent_tables, const RansTables* const* group_tables,
                    const ShLevel& level, uint8_t* out_extents, ShRows* rows);

}  // namespace scenepress
