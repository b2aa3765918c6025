// rANS payloads on the CPU: encoder, and a decoder that keeps its states from plane to plane.
#pragma once

#include <cstddef>
#include <cstdint>
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
// no frequency.
std::vector<uint8_t> rans_encode(const std::vector<RansPlane>& planes, int ways);

// What the inner loops work on. `words` is padded: they may read, not use, kRansPadding words past the end.
struct RansStream {
  uint32_t states[kRansMaxWays];
  const uint16_t* word;
  const uint16_t* words_end;
};
constexpr size_t kRansPadding = 64;

// Tables as the inner loops want them.
struct RansTables {
  const uint32_t* entries;  // [tables, 4096], see rans_entry
  const uint8_t* table_of;  // [256]: context -> table
  size_t tables;
};

// Decodes `groups` groups of `ways` symbols. Returns false if the words ran out.
bool rans_decode_groups_avx2(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                             size_t groups, uint8_t* tokens);

class RansDecoder {
 public:
  // Copies the payload. Throws std::invalid_argument if its lengths do not fit together.
  RansDecoder(const uint8_t* payload, size_t size, bool portable);

  // contexts, tokens: [count]. frequencies: [tables, 256], rows summing to 4096. context_map: [contexts]
  void plane(const uint16_t* frequencies, size_t tables, const uint8_t* context_map, size_t context_count,
             const uint8_t* contexts, size_t count, uint8_t* tokens);
  void values(const uint16_t* frequencies, size_t tables, const uint8_t* context_map, size_t context_count,
              const uint8_t* contexts, size_t count, bool is_signed, int32_t* values);
  void finish() const;

 private:
  void read_raw(const uint8_t* tokens, size_t count, bool is_signed, int32_t* values);

  int ways_;
  bool portable_;
  RansStream stream_;
  std::vector<uint16_t> words_;
  std::vector<uint8_t> raw_;
  uint64_t raw_bit_ = 0, raw_bit_count_;
};

}  // namespace scenepress
