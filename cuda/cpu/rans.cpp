#include "cpu/rans.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/tokens.h"
#include "cpu/cpu_features.h"
#include "cpu/refuse.h"

namespace scenepress {
namespace {

constexpr uint64_t kBytesPerWay = 400;  // so many bytes of payload justify one more way

int choose_ways(const std::vector<RansPlane>& planes) {
  uint64_t sixteenths = 0;
  for (const RansPlane& plane : planes) {
    std::vector<uint8_t> costs(plane.tables * kRansSymbols);
    for (size_t i = 0; i < costs.size(); ++i) {
      // log2 by straight lines between powers of two: near enough, and the same everywhere.
      const uint32_t f = std::max<uint32_t>(plane.frequencies[i], 1);
      uint32_t exponent = 0;
      while (f >> (exponent + 1)) ++exponent;
      costs[i] = static_cast<uint8_t>(16 * (kRansPrecision + 1 - exponent) - (f * 16 >> exponent));
    }
    for (size_t i = 0; i < plane.count; ++i)
      sixteenths += costs[plane.context_map[plane.contexts[i]] * size_t(kRansSymbols) + plane.tokens[i]];
    for (size_t i = 0; i < plane.raw_count; ++i) sixteenths += 16u * plane.raw_lengths[i];
  }
  const uint64_t wanted = sixteenths / 128 / kBytesPerWay;
  int ways = 1;
  while (ways < kRansMaxWays && static_cast<uint64_t>(2 * ways) <= wanted) ways *= 2;
  return ways;
}

void append_leb128(std::vector<uint8_t>& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<uint8_t>(value | 128));
  out.push_back(static_cast<uint8_t>(value));
}

// Encodes one plane back to front. Words are written downwards from `word`; returns the lowest written.
uint16_t* encode_plane(const RansPlane& plane, uint32_t* states, int ways, uint16_t* word) {
  std::vector<uint16_t> starts(plane.tables * kRansSymbols);
  for (size_t t = 0; t < plane.tables; ++t)
    for (int s = 0, start = 0; s < kRansSymbols; ++s) {
      starts[t * kRansSymbols + s] = static_cast<uint16_t>(start);
      start += plane.frequencies[t * kRansSymbols + s];
    }
  for (size_t i = plane.count; i-- > 0;) {
    const size_t cell = plane.context_map[plane.contexts[i]] * size_t(kRansSymbols) + plane.tokens[i];
    const uint32_t frequency = plane.frequencies[cell];
    if (frequency == 0)
      refuse("symbol " + std::to_string(plane.tokens[i]) + " at " + std::to_string(i) +
             " has no probability in table " + std::to_string(cell / kRansSymbols));
    uint32_t& state = states[i & static_cast<size_t>(ways - 1)];
    word -= rans_shrink(&state, frequency, word - 1);
    state = rans_push(state, frequency, starts[cell]);
  }
  return word;
}

class BitWriter {
 public:
  explicit BitWriter(std::vector<uint8_t>& out) : out_(out) {}
  void append(uint32_t value, uint32_t length) {
    pending_ |= static_cast<uint64_t>(value) << count_;
    for (count_ += length; count_ >= 8; count_ -= 8, pending_ >>= 8)
      out_.push_back(static_cast<uint8_t>(pending_));
  }
  void flush() {
    if (count_) out_.push_back(static_cast<uint8_t>(pending_));
  }

 private:
  std::vector<uint8_t>& out_;
  uint64_t pending_ = 0;
  uint32_t count_ = 0;
};

template <int kWays, bool kOneTable>
bool decode_groups(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t groups,
                   uint8_t* tokens) {
  const uint16_t* word = stream.word;
#if !defined(__wasm__)
  const uint32_t* const entries = tables.entries.get();  // tokens may alias anything but locals
#endif
  for (size_t g = 0; g < groups && word <= stream.words_end; ++g, tokens += kWays, contexts += kWays) {
#pragma GCC unroll 32
    for (int w = 0; w < kWays; ++w) {
      const uint32_t slot = stream.states[w] & (kRansSlots - 1);
#if defined(__wasm__)
      const uint32_t entry = tables.entry(kOneTable ? 0 : tables.offset_of[contexts[w]], slot);
#else
      const uint32_t entry = entries[kOneTable ? slot : slot + tables.offset_of[contexts[w]]];
#endif
      const uint32_t state = rans_advance(stream.states[w], entry);
      tokens[w] = static_cast<uint8_t>(entry);
      // Whether a state needs a word is a coin toss, so no branch: all ones if it does.
      const uint32_t low = static_cast<uint32_t>((static_cast<int64_t>(state) - kRansLower) >> 63);
      stream.states[w] = (state << (low & 16)) | (*word & low);
      word -= static_cast<int32_t>(low);
    }
  }
  stream.word = word;
  return word <= stream.words_end;
}

template <bool kOneTable>
bool decode_groups_of(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                      size_t groups, uint8_t* tokens) {
  switch (ways) {
    case 1:
      return decode_groups<1, kOneTable>(stream, tables, contexts, groups, tokens);
    case 2:
      return decode_groups<2, kOneTable>(stream, tables, contexts, groups, tokens);
    case 4:
      return decode_groups<4, kOneTable>(stream, tables, contexts, groups, tokens);
    case 8:
      return decode_groups<8, kOneTable>(stream, tables, contexts, groups, tokens);
    case 16:
      return decode_groups<16, kOneTable>(stream, tables, contexts, groups, tokens);
    default:
      return decode_groups<32, kOneTable>(stream, tables, contexts, groups, tokens);
  }
}

// The symbols after the last whole group.
bool decode_tail(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t count,
                 uint8_t* tokens) {
  for (size_t w = 0; w < count; ++w) {
    const uint32_t slot = stream.states[w] & (kRansSlots - 1);
    const uint32_t entry = tables.entry(tables.offset_of[contexts[w]], slot);
    tokens[w] = static_cast<uint8_t>(entry);
    uint32_t state = rans_advance(stream.states[w], entry);
    if (state < kRansLower) {
      if (stream.word == stream.words_end) return false;
      state = state << 16 | *stream.word++;
    }
    stream.states[w] = state;
  }
  return true;
}

template <bool kSigned>
bool read_raw(RawBits& bits, const uint8_t* tokens, size_t count, int32_t* values) {
  uint64_t position = bits.position;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t token = tokens[i], length = token_raw_length(token);
    uint64_t window;
    std::memcpy(&window, bits.data + (position >> 3), 8);
    const uint32_t raw = static_cast<uint32_t>(window >> (position & 7)) & ((uint32_t(1) << length) - 1);
    position += length;
    if (position > bits.end) return false;
    const uint32_t magnitude = token_base(token) + raw;
    values[i] = kSigned ? unzigzag(magnitude) : static_cast<int32_t>(magnitude);
  }
  bits.position = position;
  return true;
}

// Eight tokens at a time, most of which are whole values.
template <bool kSigned>
bool read_raw_by_eights(RawBits& bits, const uint8_t* tokens, size_t count, int32_t* values) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, tokens + i, 8);
    if (eight & 0xF0F0F0F0F0F0F0F0) {
      if (!read_raw<kSigned>(bits, tokens + i, 8, values + i)) return false;
    } else {
      for (size_t k = i; k < i + 8; ++k) values[k] = kSigned ? unzigzag(tokens[k]) : tokens[k];
    }
  }
  return read_raw<kSigned>(bits, tokens + i, count - i, values + i);
}

}  // namespace

std::vector<uint8_t> rans_encode(const std::vector<RansPlane>& planes, int ways) {
  if (ways == 0) ways = choose_ways(planes);
  size_t count = 0;
  uint64_t raw_bits = 0;
  for (const RansPlane& plane : planes) {
    count += plane.count;
    for (size_t i = 0; i < plane.raw_count; ++i) {
      const uint32_t length = plane.raw_lengths[i];
      if (length > 23 || plane.raw_values[i] >> length)
        refuse("raw value " + std::to_string(i) + " is longer than its length");
      raw_bits += length;
    }
  }
  uint32_t states[kRansMaxWays];
  std::fill_n(states, kRansMaxWays, kRansLower);
  std::vector<uint16_t> words(count + 1);  // at most one word a symbol
  uint16_t* const end = words.data() + words.size();
  uint16_t* word = end;
  for (size_t p = planes.size(); p-- > 0;) word = encode_plane(planes[p], states, ways, word);

  std::vector<uint8_t> out{0};
  while (1 << out[0] < ways) ++out[0];
  append_leb128(out, static_cast<uint64_t>(end - word));
  append_leb128(out, raw_bits);
  BitWriter bits(out);
  for (int w = 0; w < ways; ++w) bits.append(states[w], 32);
  const size_t words_at = out.size(), words_size = 2 * static_cast<size_t>(end - word);
  out.reserve(words_at + words_size + raw_bits / 8 + 1);
  out.resize(words_at + words_size);
  if (words_size) std::memcpy(out.data() + words_at, word, words_size);
  for (const RansPlane& plane : planes)
    for (size_t i = 0; i < plane.raw_count; ++i) bits.append(plane.raw_values[i], plane.raw_lengths[i]);
  bits.flush();
  return out;
}

RansTables::RansTables(const uint16_t* frequencies, size_t tables, const uint8_t* context_map, size_t contexts)
    :
#if defined(__wasm__)
      symbols(new uint8_t[tables * kRansSlots]),
      of_symbol(new uint32_t[tables * kRansSymbols]),
#else
      entries(new uint32_t[tables * kRansSlots]),
#endif
      tables(tables),
      contexts(contexts),
      only_tokens(true) {
  for (size_t t = 0; t < tables; ++t) {
    const uint16_t* row = frequencies + t * kRansSymbols;
#if defined(__wasm__)
    for (uint32_t symbol = 0, start = 0; symbol < kRansSymbols; start += row[symbol++]) {
      std::memset(symbols.get() + t * kRansSlots + start, static_cast<int>(symbol), row[symbol]);
      of_symbol[t * kRansSymbols + symbol] = rans_entry(symbol, row[symbol], start);
    }
#else
    rans_expand(row, entries.get() + t * kRansSlots);
#endif
    only_tokens = only_tokens && std::all_of(row + kTokens, row + kRansSymbols, [](uint16_t f) { return f == 0; });
  }
  for (size_t c = 0; c < 256; ++c) {
    table_of[c] = c < contexts ? context_map[c] : 0;
    offset_of[c] = uint32_t(table_of[c]) << kRansPrecision;
  }
}

bool rans_decode_groups(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                        size_t groups, uint8_t* tokens) {
  return tables.tables == 1 ? decode_groups_of<true>(stream, ways, tables, contexts, groups, tokens)
                            : decode_groups_of<false>(stream, ways, tables, contexts, groups, tokens);
}

bool read_raw_bits(RawBits& bits, const uint8_t* tokens, size_t count, bool is_signed, int32_t* values) {
  return is_signed ? read_raw_by_eights<true>(bits, tokens, count, values)
                   : read_raw_by_eights<false>(bits, tokens, count, values);
}

RansDecoder::RansDecoder(const uint8_t* payload, size_t size, bool portable)
    : portable_(portable), avx2_(!portable && has_avx2()) {
  RansLayout layout;
  if (const char* error = parse_rans_payload(payload, size, &layout)) refuse(error);
  ways_ = layout.ways;
  std::fill_n(stream_.states, kRansMaxWays, kRansLower);
  std::memcpy(stream_.states, payload + layout.states_at, 4 * static_cast<size_t>(ways_));
  for (uint32_t state : stream_.states)
    if (state < kRansLower) refuse("entropy payload: a state is below 2^16");
  const size_t word_count = static_cast<size_t>(layout.word_count), raw_size = size - layout.raw_at;
  words_.resize(word_count + kRansPadding);
  if (word_count) std::memcpy(words_.data(), payload + layout.words_at, 2 * word_count);
  stream_.word = words_.data();
  stream_.words_end = words_.data() + word_count;
  raw_.resize(raw_size + kRawPadding);
  if (raw_size) std::memcpy(raw_.data(), payload + layout.raw_at, raw_size);
  bits_ = {raw_.data(), 0, layout.raw_bit_count};
}

void RansDecoder::plane(const RansTables& tables, const uint8_t* contexts, size_t count, uint8_t* tokens) {
  const size_t ways = static_cast<size_t>(ways_), groups = count / ways, whole = groups * ways;
  // Below 16 ways a vector waits for its own results; plain code is as fast.
#if defined(__wasm_simd128__)
  const auto decode = !portable_ && ways_ >= 8 ? rans_decode_groups_simd128 : rans_decode_groups;
#else
  const auto decode = avx2_ && ways_ >= 16 ? rans_decode_groups_avx2 : rans_decode_groups;
#endif
  if (!decode(stream_, ways_, tables, contexts, groups, tokens) ||
      !decode_tail(stream_, tables, contexts + whole, count - whole, tokens + whole))
    refuse("entropy payload: it has too few words");
}

void RansDecoder::values(const RansTables& tables, const uint8_t* contexts, size_t count, bool is_signed,
                         int32_t* values) {
  if (!tables.only_tokens) refuse("entropy payload: a table has symbols that are not tokens");
  constexpr size_t kPiece = 8192;  // a multiple of the ways, so that pieces decode as the whole would
  uint8_t tokens[kPiece];
  for (size_t done = 0; done < count; done += kPiece) {
    const size_t piece = std::min(kPiece, count - done);
    plane(tables, contexts + done, piece, tokens);
    const size_t eights = avx2_ ? piece / 8 * 8 : 0;
    if (!(eights == 0 || read_raw_bits_avx2(bits_, tokens, eights, is_signed, values + done)) ||
        !read_raw_bits(bits_, tokens + eights, piece - eights, is_signed, values + done + eights))
      refuse("entropy payload: it has too few raw bits");
  }
}

void RansDecoder::finish() const {
  for (int w = 0; w < ways_; ++w)
    if (stream_.states[w] != kRansLower) refuse("entropy payload: a final state is not 2^16");
  if (stream_.word != stream_.words_end) refuse("entropy payload: words are left over");
  if (bits_.position != bits_.end) refuse("entropy payload: raw bits are left over");
}

}  // namespace scenepress
