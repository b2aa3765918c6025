// Interleaved rANS: docs/spec/entropy.md, sections 5 and 6. Normative twin: kernels/reference/rans.py.
//
// The steps below are the only scalar implementation; launchers add loops, and the SIMD variants are
// held to the same bits by tests. States are 32 bits wide, words 16, probabilities 12.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr uint32_t kRansLower = uint32_t(1) << 16;  // states lie in [2^16, 2^32)
constexpr int kRansPrecision = 12;
constexpr uint32_t kRansSlots = uint32_t(1) << kRansPrecision;
constexpr int kRansMaxWays = 32;
constexpr int kRansSymbols = 256;

// What one slot of a table decodes to: symbol (8 bits), frequency - 1 (12), slot - start (12).
SP_HOST_DEVICE inline uint32_t rans_entry(uint32_t symbol, uint32_t frequency, uint32_t bias) {
  return symbol | (frequency - 1) << 8 | bias << 20;
}

// Removes a symbol from the state; entry = table[state & 4095]. The result may be below kRansLower.
SP_HOST_DEVICE inline uint32_t rans_advance(uint32_t state, uint32_t entry) {
  return ((entry >> 8 & 4095) + 1) * (state >> kRansPrecision) + (entry >> 20);
}

// frequencies: [256], summing to 4096. table: [4096].
SP_HOST_DEVICE inline void rans_expand(const uint16_t* frequencies, uint32_t* table) {
  for (uint32_t symbol = 0; symbol < kRansSymbols; ++symbol) {
    const uint32_t frequency = frequencies[symbol];
    for (uint32_t bias = 0; bias < frequency; ++bias) table[bias] = rans_entry(symbol, frequency, bias);
    table += frequency;
  }
}

// Makes room if needed: returns true and sets *word if a word must be written. frequency > 0.
SP_HOST_DEVICE inline bool rans_shrink(uint32_t* state, uint32_t frequency, uint16_t* word) {
  if (*state >> 20 < frequency) return false;
  *word = static_cast<uint16_t>(*state);
  *state >>= 16;
  return true;
}

// Adds a symbol to a state that has room for it.
SP_HOST_DEVICE inline uint32_t rans_push(uint32_t state, uint32_t frequency, uint32_t start) {
  const uint32_t quotient = state / frequency;
  return (quotient << kRansPrecision) + (state - quotient * frequency) + start;
}

// Where the parts of a payload lie.
struct RansLayout {
  int ways;
  uint64_t word_count, raw_bit_count;
  size_t states_at, words_at, raw_at;
};

// Reads a canonical LEB128 number of at most 6 bytes. Returns null, or what is wrong.
SP_HOST_DEVICE inline const char* read_leb128(const uint8_t* data, size_t size, size_t* position,
                                              uint64_t* value) {
  *value = 0;
  for (int i = 0; i < 6; ++i) {
    if (*position >= size) return "entropy payload: it ends inside its header";
    const uint8_t byte = data[(*position)++];
    *value |= static_cast<uint64_t>(byte & 127) << (7 * i);
    if (byte < 128) return i && !byte ? "entropy payload: a count has a needless last byte" : nullptr;
  }
  return "entropy payload: a count is longer than 6 bytes";
}

// Checks the header and that the lengths it gives are exactly those of the payload.
SP_HOST_DEVICE inline const char* parse_rans_payload(const uint8_t* data, size_t size, RansLayout* layout) {
  if (size == 0) return "entropy payload: it is empty";
  if (data[0] > 5) return "entropy payload: reserved bits in the way count";
  layout->ways = 1 << data[0];
  size_t position = 1;
  if (const char* error = read_leb128(data, size, &position, &layout->word_count)) return error;
  if (const char* error = read_leb128(data, size, &position, &layout->raw_bit_count)) return error;
  const uint64_t states_size = 4u * static_cast<uint64_t>(layout->ways);
  const uint64_t total = position + states_size + 2 * layout->word_count + (layout->raw_bit_count + 7) / 8;
  if (total != size) return "entropy payload: its length is not what its header says";
  layout->states_at = position;
  layout->words_at = position + static_cast<size_t>(states_size);
  layout->raw_at = layout->words_at + 2 * static_cast<size_t>(layout->word_count);
  if (layout->raw_bit_count % 8 && data[size - 1] >> (layout->raw_bit_count % 8))
    return "entropy payload: padding bits are not zero";
  return nullptr;
}

}  // namespace scenepress
