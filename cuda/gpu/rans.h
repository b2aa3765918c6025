// CUDA launchers of entropy coding: docs/spec/entropy.md. Device pointers; none of them synchronises.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/rans.h"
#include "core/tokens.h"

namespace scenepress {

// What is left of a payload; the host fills it in from parse_rans_payload(), each plane moves it on.
struct RansCursor {
  uint32_t states[kRansMaxWays];  // those beyond `ways` stay kRansLower
  const uint16_t* words;
  uint64_t word, word_count;
  const uint8_t* raw;  // 4 bytes longer than its bits need
  uint64_t raw_bit, raw_bit_count;
  int ways;
  int exhausted;  // set when words or raw bits ran out: what was decoded means nothing
};

// One plane of one payload.
struct RansPlaneJob {
  RansCursor* cursor;
  const uint32_t* entries;    // [tables, 4096], from expand_rans_tables_cuda()
  const uint32_t* offset_of;  // [256]: context -> index of its table's first entry
  const uint8_t* contexts;    // [count]
  uint64_t count;
  uint8_t* tokens;  // [count], or null
  int32_t* values;  // [count], or null for a plane without raw bits
  bool is_signed;
};

// frequencies: [tables, 256] -> entries: [tables, 4096]
void expand_rans_tables_cuda(const uint16_t* frequencies, uint32_t* entries, int tables, void* stream);

// Decodes the next plane of `count` payloads, one warp each.
void decode_rans_planes_cuda(const RansPlaneJob* jobs, int count, void* stream);

}  // namespace scenepress
