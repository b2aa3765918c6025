// Values to tokens and raw bits: docs/spec/entropy.md, section 2. Normative twin: kernels/reference/tokens.py.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr int kTokens = 104;
constexpr uint32_t kMagnitudes = uint32_t(1) << 26;  // magnitudes lie below

// Number of raw bits that complete a token: 0, or 2 to 23.
SP_HOST_DEVICE inline uint32_t token_raw_length(uint32_t token) { return token < 16 ? 0 : (token >> 2) - 2; }

// The smallest magnitude of a token.
SP_HOST_DEVICE inline uint32_t token_base(uint32_t token) {
  return token < 16 ? token : (4 + (token & 3)) << token_raw_length(token);
}

// magnitude < kMagnitudes
SP_HOST_DEVICE inline uint32_t token_of(uint32_t magnitude) {
  if (magnitude < 16) return magnitude;
  uint32_t exponent = 4;
  while (magnitude >> (exponent + 1)) ++exponent;
  return 16 + (exponent - 4) * 4 + (magnitude >> (exponent - 2) & 3);
}

// 0, 1, -1, 2, -2 ... to 0, 1, 2, 3, 4 ... Values out of (-2^25, 2^25] give kMagnitudes or more.
SP_HOST_DEVICE inline uint32_t zigzag(int32_t value) {
  const uint32_t bits = static_cast<uint32_t>(value);
  if (value <= -(1 << 25) || value > (1 << 25)) return kMagnitudes;
  return value > 0 ? 2 * bits - 1 : 0 - 2 * bits;
}

SP_HOST_DEVICE inline int32_t unzigzag(uint32_t magnitude) {
  const uint32_t odd = magnitude & 1;
  return static_cast<int32_t>((((magnitude >> 1) + odd) ^ (odd - 1)) + (1 - odd));
}

}  // namespace scenepress
