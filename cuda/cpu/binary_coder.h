// The adaptive binary coder alone, over a stream of bits with given contexts: docs/spec/binary_coder.md, 6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace scenepress {

// bits: n values, 0 or 1. contexts: n indices of adaptive bits, which start knowing nothing.
std::vector<uint8_t> encode_bits_cpu(const uint8_t* bits, const uint8_t* contexts, size_t n);

// Writes n bits; returns whether the payload is exactly what encode_bits_cpu() writes for them.
bool decode_bits_cpu(const uint8_t* payload, size_t size, const uint8_t* contexts, uint8_t* bits, size_t n);

}  // namespace scenepress
