#include "cpu/lossless.h"

namespace scenepress {
namespace {

// Eight bytes, little-endian, zero beyond the end.
uint64_t load_window(const uint8_t* data, size_t size, size_t at) {
  uint64_t window = 0;
  const size_t available = at < size ? size - at : 0;
  const size_t count = available < 8 ? available : 8;
  for (size_t k = 0; k < count; ++k) window |= static_cast<uint64_t>(data[at + k]) << 8 * k;
  return window;
}

// The same where all eight bytes are there: one load on little-endian machines.
uint64_t load_window_inside(const uint8_t* data) {
  uint64_t window = 0;
  for (size_t k = 0; k < 8; ++k) window |= static_cast<uint64_t>(data[k]) << 8 * k;
  return window;
}

// How many of `count` increasing values are <= word. The steps do not depend on the outcomes, so nothing is
// mispredicted.
size_t count_not_above(const uint32_t* values, size_t count, uint32_t word) {
  const uint32_t* first = values;
  for (size_t left = count; left > 1;) {
    const size_t half = left / 2;
    first = first[half - 1] <= word ? first + half : first;
    left -= half;
  }
  return static_cast<size_t>(first - values) + (count && *first <= word);
}

}  // namespace

void assign_tokens(const uint32_t* words, size_t n, const uint32_t* bases, size_t leaves, size_t singles,
                   uint8_t* tokens) {
  const uint32_t* values = bases + leaves;
  for (size_t i = 0; i < n; ++i) {
    const size_t leaf = count_not_above(bases, leaves, words[i]);
    const size_t below = count_not_above(values, singles, words[i]);
    const bool is_single = below && values[below - 1] == words[i];
    tokens[i] = static_cast<uint8_t>(is_single ? leaves + below - 1 : leaf - (leaf != 0));
  }
}

size_t packed_size(const uint8_t* lengths, size_t n) {
  uint64_t bits = 0;
  for (size_t i = 0; i < n; ++i) bits += lengths[i];
  return static_cast<size_t>((bits + 7) / 8);
}

void pack_bits(const uint32_t* values, const uint8_t* lengths, size_t n, uint8_t* out) {
  uint64_t pending = 0;
  unsigned held = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint64_t mask = (uint64_t{1} << lengths[i]) - 1;
    pending |= (values[i] & mask) << held;  // held < 8, so at most 40 bits are in use
    for (held += lengths[i]; held >= 8; held -= 8, pending >>= 8) *out++ = static_cast<uint8_t>(pending);
  }
  if (held) *out = static_cast<uint8_t>(pending);
}

uint64_t expand_words(const uint8_t* tokens, size_t n, const uint32_t* bases, const uint8_t* lengths,
                      const uint8_t* data, size_t size, uint64_t start, uint32_t* words) {
  const uint64_t available = uint64_t{8} * size;
  uint64_t bit = start;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t token = tokens[i];
    const unsigned length = lengths[token];
    if (bit > available || length > available - bit) return kPastEnd;
    const size_t at = static_cast<size_t>(bit >> 3);
    const uint64_t window =
        size >= 8 && at <= size - 8 ? load_window_inside(data + at) : load_window(data, size, at);
    words[i] = bases[token] + static_cast<uint32_t>(window >> (bit & 7) & ((uint64_t{1} << length) - 1));
    bit += length;
  }
  return bit;
}

}  // namespace scenepress
