// One tile of a lossless file: docs/spec/lossless.md; the twin of stages/lossless.
#pragma once

#include <cstdint>

#include "decode/bytes.h"
#include "decode/splats.h"

namespace scenepress {

constexpr uint32_t kLosslessMaxCount = 1 << 16;

// Decodes `count` splats with sh_count SH coefficients a channel. Every bit of every float is that of the source;
// indices are left alone.
void decode_lossless(Bytes payload, uint32_t count, int sh_count, const SplatArrays& out);

}  // namespace scenepress
