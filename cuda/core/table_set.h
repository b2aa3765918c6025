// Table sets, from bytes to frequencies: docs/spec/entropy.md, section 4. Integers only.
// Normative twin: kernels/reference/table_set.py.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/host_device.h"
#include "core/rans.h"
#include "core/tokens.h"

namespace scenepress {

constexpr int kMaxContexts = 255;
constexpr int kMaxTables = 64;
constexpr uint32_t kFirstExplicitHead = 104, kSingleHead = 168;
constexpr uint32_t kMaxUnary = 31;
constexpr int32_t kMaxLevel = 1 << 14;
constexpr uint64_t kMaxCost = uint64_t(1) << 26;

struct TableSet {
  int contexts, tables;
  uint8_t context_map[kMaxContexts + 1];
  uint16_t frequencies[kMaxTables][kRansSymbols];
};

// Bits, least significant first. Reading past the end gives zeros and sets `failed`.
struct BitReader {
  const uint8_t* data;
  size_t size;
  size_t position;  // in bits
  const char* error = nullptr;

  SP_HOST_DEVICE void fail(const char* why) {
    if (!error) error = why;
  }
  SP_HOST_DEVICE uint32_t bits(uint32_t count) {
    if (error || count > 8 * size - position) {
      fail("table set: the data ends inside it");
      return 0;
    }
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; ++i, ++position)
      value |= static_cast<uint32_t>(data[position >> 3] >> (position & 7) & 1) << i;
    return value;
  }
  SP_HOST_DEVICE uint32_t unary() {
    for (uint32_t count = 0; count <= kMaxUnary; ++count)
      if (!bits(1)) return count;
    fail("table set: a unary code is longer than 31");
    return 0;
  }
  SP_HOST_DEVICE uint32_t gamma() {
    const uint32_t width = unary();
    if (width > 8) fail("table set: a run is longer than the alphabet");
    return error ? 1 : 1u << width | bits(width);
  }
  SP_HOST_DEVICE size_t finish() {
    if (bits(static_cast<uint32_t>((8 - position % 8) % 8))) fail("table set: padding bits are not zero");
    return position >> 3;
  }
};

// Largest r with r * r <= x.
SP_HOST_DEVICE inline uint64_t integer_sqrt(uint64_t x) {
  uint64_t root = 0;
  for (uint64_t bit = uint64_t(1) << 31; bit; bit >>= 1)
    if ((root + bit) * (root + bit) <= x) root += bit;
  return root;
}

// log2 of the weight of a token in the parametric table `index`, in 2^-16 octaves.
SP_HOST_DEVICE inline int64_t base_level(uint32_t index, uint32_t token) {
  constexpr uint64_t kStarts[8] = {13194139533312, 12099079298654, 11094904635919, 10174072410108,
                                   9329665535926,  8555341018192,  7845282304677,  7194155593471};
  constexpr uint32_t kEighths[4] = {2, 2, 3, 1};
  const uint32_t shape = index >> 6, eighths = kEighths[shape] * (index & 63);
  const uint64_t slope = kStarts[eighths & 7] >> (eighths >> 3);
  const uint64_t length = token_raw_length(token), base = token_base(token);
  uint64_t twice;
  if (shape == 0)
    twice = 2 * base + (uint64_t(1) << length) - 1;
  else
    twice = token >= 16 ? base + (uint64_t(1) << length >> 1) : base + (base & 1);
  const uint64_t distance = shape == 3 ? integer_sqrt(twice << 15) : shape == 2 ? twice * twice << 6 : twice << 7;
  // slope * distance >> 32, at most kMaxCost: the comparison avoids a product of more than 64 bits.
  const uint64_t limit = (kMaxCost << 32) / slope;
  const uint64_t cost = distance >= limit ? kMaxCost : slope * distance >> 32;
  return static_cast<int64_t>(length << 16) - static_cast<int64_t>(cost);
}

// 2^32 * 2^-(cost / 2^16), rounded down at every step.
SP_HOST_DEVICE inline uint64_t table_power(uint64_t cost) {
  constexpr uint64_t kHalvings[16] = {3037000500, 3611622603, 3938502376, 4112874773, 4202935003, 4248701965,
                                      4271771996, 4283353945, 4289156690, 4292061010, 4293513907, 4294240540,
                                      4294603903, 4294785595, 4294876445, 4294921870};
  if (cost >= uint64_t(33) << 16) return 0;
  uint64_t value = uint64_t(1) << 32;
  for (int k = 0; k < 16; ++k)
    if (cost >> (15 - k) & 1) value = value * kHalvings[k] >> 32;
  return value >> (cost >> 16);
}

// Symbols, ascending, and their levels in 2^-16 octaves -> frequencies [256] that sum to 4096.
SP_HOST_DEVICE inline void frequencies_of(const uint8_t* symbols, int64_t* levels, int count,
                                          uint16_t* frequencies) {
  int64_t highest = levels[0];
  for (int i = 1; i < count; ++i) highest = levels[i] > highest ? levels[i] : highest;
  uint64_t total = 0;
  for (int i = 0; i < count; ++i) {
    levels[i] = static_cast<int64_t>(table_power(static_cast<uint64_t>(highest - levels[i])));
    total += static_cast<uint64_t>(levels[i]);
  }
  for (int i = 0; i < kRansSymbols; ++i) frequencies[i] = 0;
  const uint64_t spare = kRansSlots - static_cast<uint64_t>(count);
  uint64_t before = 0, floor_before = 0;
  for (int i = 0; i < count; ++i) {
    before += static_cast<uint64_t>(levels[i]);
    const uint64_t floor_after = before * spare / total;
    frequencies[symbols[i]] = static_cast<uint16_t>(1 + floor_after - floor_before);
    floor_before = floor_after;
  }
}

// The runs of a sparse table, unused and used in turn. Returns how many symbols are used.
SP_HOST_DEVICE inline int read_used_symbols(BitReader& reader, uint32_t last, uint8_t* symbols) {
  int count = 0;
  uint32_t position = reader.gamma() - 1;
  for (bool used = true; position <= last && !reader.error; used = !used) {
    const uint32_t length = reader.gamma();
    if (reader.error || position + length > last + 1) break;
    if (used)
      for (uint32_t i = 0; i < length; ++i) symbols[count++] = static_cast<uint8_t>(position + i);
    position += length;
    if (position == last + 1 && used) return count;
  }
  reader.fail("table set: the runs of a sparse table miss its last symbol");
  return 0;
}

SP_HOST_DEVICE inline void read_explicit_table(BitReader& reader, uint32_t head, uint16_t* frequencies) {
  const bool free = head & 1;
  const uint32_t precision = head >> 1 & 3, rice = head >> 3 & 3, sparse = head >> 5;
  const uint32_t index = free ? 0 : reader.bits(8);
  const uint32_t last = reader.bits(8);
  if (!free && last >= kTokens) reader.fail("table set: the last symbol of a table with a base is not a token");
  if (reader.error) return;
  uint8_t symbols[kRansSymbols];
  int64_t levels[kRansSymbols];
  int count = static_cast<int>(last) + 1;
  if (sparse)
    count = read_used_symbols(reader, last, symbols);
  else
    for (int i = 0; i < count; ++i) symbols[i] = static_cast<uint8_t>(i);
  int32_t correction = 0;
  for (int i = 0; i < count; ++i) {
    uint32_t code = reader.unary() << rice;
    code |= reader.bits(rice);
    const int32_t step = unzigzag(code);
    correction = free ? correction + step : step;
    if (correction > kMaxLevel || correction < -kMaxLevel) reader.fail("table set: a level is out of range");
    if (reader.error) return;
    const int64_t base = free ? 0 : base_level(index, symbols[i]);
    levels[i] = base + static_cast<int64_t>(correction) * (int64_t(1) << (16 - precision));
  }
  if (!reader.error) frequencies_of(symbols, levels, count, frequencies);
}

SP_HOST_DEVICE inline void read_table(BitReader& reader, uint16_t* frequencies) {
  const uint32_t head = reader.bits(8);
  uint8_t symbols[kTokens];
  int64_t levels[kTokens];
  if (reader.error) return;
  if (head >= kFirstExplicitHead && head < kSingleHead) {
    read_explicit_table(reader, head - kFirstExplicitHead, frequencies);
  } else if (head < kFirstExplicitHead && head > 0) {
    const uint32_t index = reader.bits(8);
    for (uint32_t i = 0; i <= head; ++i) {
      symbols[i] = static_cast<uint8_t>(i);
      levels[i] = base_level(index, i);
    }
    if (!reader.error) frequencies_of(symbols, levels, static_cast<int>(head) + 1, frequencies);
  } else if (head == 0 || head == kSingleHead) {
    symbols[0] = head ? static_cast<uint8_t>(reader.bits(8)) : 0;
    levels[0] = 0;
    if (!reader.error) frequencies_of(symbols, levels, 1, frequencies);
  } else {
    reader.fail("table set: the head of a table is reserved");
  }
}

SP_HOST_DEVICE inline void read_context_map(BitReader& reader, TableSet* set) {
  uint32_t used = 1;
  const uint32_t tables = static_cast<uint32_t>(set->tables);
  for (int i = 0; i <= kMaxContexts; ++i) set->context_map[i] = 0;
  for (int i = 1; i < set->contexts && tables > 1; ++i) {
    set->context_map[i] = set->context_map[i - 1];
    if (reader.bits(1)) continue;
    const uint32_t choices = used + 1 < tables ? used + 1 : tables;
    uint32_t width = 0;
    while ((choices - 1) >> width) ++width;
    const uint32_t table = reader.bits(width);
    if (table >= choices) reader.fail("table set: a context names a table out of turn");
    if (reader.error) return;
    used = table + 1 > used ? table + 1 : used;
    set->context_map[i] = static_cast<uint8_t>(table);
  }
  if (used != tables) reader.fail("table set: a table has no context");
}

// Reads the set at byte *offset of data and moves *offset behind it. Returns null, or what is wrong.
// Writes only the rows of `frequencies` that the set has.
SP_HOST_DEVICE inline const char* parse_table_set(const uint8_t* data, size_t size, size_t* offset,
                                                  TableSet* set) {
  BitReader reader{data, size, 8 * *offset};
  set->contexts = static_cast<int>(reader.bits(8));
  if (!reader.error && set->contexts == 0) reader.fail("table set: it has no contexts");
  set->tables = set->contexts == 1 ? 1 : static_cast<int>(reader.bits(8));
  if (!reader.error && (set->tables < 1 || set->tables > kMaxTables || set->tables > set->contexts))
    reader.fail("table set: too many or too few tables for its contexts");
  if (!reader.error) read_context_map(reader, set);
  for (int i = 0; i < set->tables && !reader.error; ++i) read_table(reader, set->frequencies[i]);
  if (!reader.error) *offset = reader.finish();
  return reader.error;
}

}  // namespace scenepress
