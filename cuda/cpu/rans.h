// rANS payloads on the CPU: encoder, and a decoder that keeps its states from plane to plane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/rans.h"

namespace scenepress {

// One plane to encode. contexts[i] < the length of context_map; every context_map entry < tables.
struct RansPlane {
  const uint8_t* tokens;
  const uint8_t* contexts;
  size_t count;
  const uint8_t* context_map;
  const uint16_t* frequencies;  // [tables, 256]
  size_t tables;
  const uint32_t* raw_values;  // [raw_count]
  const uint8_t* raw_lengths;  // [raw_count], each <= 23
  size_t raw_count;
};

// ways: a power of two up to 32, or 0 to choose by size. Throws std::invalid_argument if a symbol has
// no frequency, or a raw value is longer than its length.
std::vector<uint8_t> rans_encode(const std::vector<RansPlane>& planes, int ways);

// A table set as the inner loops want it.
struct RansTables {
  // frequencies: [tables, 256], rows summing to 4096. context_map: [contexts], each < tables.
  RansTables(const uint16_t* frequencies, size_t tables, const uint8_t* context_map, size_t contexts);

#if defined(__wasm__)
  // A scene has hundreds of tables, and WebAssembly pays for memory twice: a third of it is as fast.
  std::unique_ptr<uint8_t[]> symbols;     // [tables, 4096]
  std::unique_ptr<uint32_t[]> of_symbol;  // [tables, 256]: rans_entry with the symbol's start as its bias

  uint32_t entry(uint32_t offset, uint32_t slot) const {
    const uint32_t found = of_symbol[offset / (kRansSlots / kRansSymbols) + symbols[offset + slot]];
    return (found & 0xFFFFFu) | (slot - (found >> 20)) << 20;
  }
#else
  std::unique_ptr<uint32_t[]> entries;  // [tables, 4096], see rans_entry

  uint32_t entry(uint32_t offset, uint32_t slot) const { return entries[offset + slot]; }
#endif
  size_t tables, contexts;
  bool only_tokens;         // no table has a symbol of 104 or more
  uint8_t table_of[256];    // context -> table
  uint32_t offset_of[256];  // context -> index of its table's first entry
};

// What the inner loops change. They may read, not use, kRansPadding words past the end.
struct RansStream {
  uint32_t states[kRansMaxWays];
  const uint16_t* word;
  const uint16_t* words_end;
};
constexpr size_t kRansPadding = 64;

// Raw bits: bytes [end / 8 rounded up, and kRawPadding more], and the next bit to read.
struct RawBits {
  const uint8_t* data;
  uint64_t position, end;
};
constexpr size_t kRawPadding = 128;  // more than 32 tokens can take

// Decode `groups` groups of `ways` symbols, 16 or 32 ways for AVX2. Return false if the words ran out.
bool rans_decode_groups(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                        size_t groups, uint8_t* tokens);
bool rans_decode_groups_avx2(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                             size_t groups, uint8_t* tokens);
// The same for 8 ways or more: WebAssembly.
bool rans_decode_groups_simd128(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                                size_t groups, uint8_t* tokens);

// Complete `count` tokens by their raw bits; a multiple of 8 for AVX2. Return false if the bits ran out.
bool read_raw_bits(RawBits& bits, const uint8_t* tokens, size_t count, bool is_signed, int32_t* values);
bool read_raw_bits_avx2(RawBits& bits, const uint8_t* tokens, size_t count, bool is_signed, int32_t* values);

class RansDecoder {
 public:
  // Copies the payload. Throws std::invalid_argument if its lengths do not fit together.
  RansDecoder(const uint8_t* payload, size_t size, bool portable);

  // contexts: [count], each less than those of the tables. All throw std::invalid_argument.
  void plane(const RansTables& tables, const uint8_t* contexts, size_t count, uint8_t* tokens);
  void values(const RansTables& tables, const uint8_t* contexts, size_t count, bool is_signed, int32_t* values);
  void finish() const;
  bool portable() const { return portable_; }  // whether it is held to plain C++

 private:
  int ways_;
  bool portable_, avx2_;
  RansStream stream_;
  RawBits bits_;
  std::vector<uint16_t> words_;
  std::vector<uint8_t> raw_;
};

}  // namespace scenepress
