// Kernels of the lossless stage: docs/spec/lossless.md. Normative twin: scenepress/kernels/lossless.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace scenepress {

// tokens[i] = the last of `leaves` increasing bases that is <= words[i] (0 if none is), or leaves + k if words[i]
// is the k-th of `singles` increasing values after them. leaves + singles <= 256.
void assign_tokens(const uint32_t* words, size_t n, const uint32_t* bases, size_t leaves, size_t singles,
                   uint8_t* tokens);

// Bytes that the low lengths[i] <= 32 bits of n values take.
size_t packed_size(const uint8_t* lengths, size_t n);

// Writes them, least significant first, zero bits after the last. out: packed_size() bytes.
void pack_bits(const uint32_t* values, const uint8_t* lengths, size_t n, uint8_t* out);

// words[i] = bases[tokens[i]] + the next lengths[tokens[i]] <= 32 bits of data, from bit `start`. Returns the
// bit after the last, or `past_end` if the data is too short; words are then unspecified.
constexpr uint64_t kPastEnd = ~uint64_t{0};
uint64_t expand_words(const uint8_t* tokens, size_t n, const uint32_t* bases, const uint8_t* lengths,
                      const uint8_t* data, size_t size, uint64_t start, uint32_t* words);

}  // namespace scenepress
