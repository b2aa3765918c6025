// Bit fields one after another, lowest bit first.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

// Writes the low `length` bits (0..32) of `field` at bit `at` of a buffer that is zero from there on.
SP_HOST_DEVICE inline void put_bits(uint8_t* data, int64_t at, uint32_t field, int length) {
  uint64_t bits = (length < 32 ? field & ((1u << length) - 1) : field) * (uint64_t{1} << (at & 7));
  for (int64_t byte = at >> 3; bits; ++byte, bits >>= 8) data[byte] |= static_cast<uint8_t>(bits);
}

// Reads `length` bits (0..32) at bit `at`; the caller has checked that they exist.
SP_HOST_DEVICE inline uint32_t get_bits(const uint8_t* data, int64_t at, int length) {
  uint64_t bits = 0;
  const int64_t first = at >> 3, last = (at + length + 7) >> 3;
  for (int64_t byte = first; byte < last; ++byte) bits |= uint64_t{data[byte]} << (8 * (byte - first));
  bits >>= at & 7;
  return static_cast<uint32_t>(length < 32 ? bits & ((1u << length) - 1) : bits);
}

}  // namespace scenepress
