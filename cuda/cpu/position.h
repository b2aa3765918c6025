// CPU launchers of the position stage: docs/spec/position.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/position.h"

namespace scenepress {

// codes: sorted, below 2^bits; n <= kPositionMaxCount. coarse: sorted, below 2^bits.
std::vector<uint8_t> encode_positions_cpu(const uint64_t* codes, size_t n, const uint64_t* coarse, size_t m,
                                          int bits);

// Writes n codes. Allocates nothing that grows with the payload. On anything but kExact, codes are unspecified.
PositionResult decode_positions_cpu(const uint8_t* payload, size_t size, uint64_t* codes, size_t n,
                                    const uint64_t* coarse, size_t m, int bits);

// What every stream starts from.
const PositionModel& initial_position_model();

void morton_codes_cpu(const uint32_t* xyz, uint64_t* codes, size_t n);
void morton_cells_cpu(const uint64_t* codes, uint32_t* xyz, size_t n);

}  // namespace scenepress
