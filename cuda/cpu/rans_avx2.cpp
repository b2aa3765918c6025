// The inner loops of rans.cpp with AVX2: 8 ways, or 8 values, a vector.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstring>

#include "cpu/rans.h"

namespace scenepress {

#if defined(__x86_64__)
namespace {

// For each set of lanes that need a word: which of the next 8 words goes to which lane.
struct RefillOrder {
  uint64_t lanes[256];  // 8 bytes each
  constexpr RefillOrder() : lanes() {
    for (int mask = 0; mask < 256; ++mask) {
      uint64_t next = 0;
      for (int lane = 0; lane < 8; ++lane)
        if (mask >> lane & 1) lanes[mask] |= next++ << (8 * lane);
    }
  }
};
constexpr RefillOrder kRefillOrder;

inline __m256i widen_bytes(const void* eight) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(eight)));
}

// Eight loads. A gather does the same, but is slower on many processors while the tables fit the nearest cache.
inline __m256i load_entries(const uint32_t* entries, __m256i index) {
  const auto half = [entries](__m128i four) {
    const auto first = static_cast<uint64_t>(_mm_cvtsi128_si64(four));
    const auto second = static_cast<uint64_t>(_mm_extract_epi64(four, 1));
    const auto at = [entries](uint64_t i) { return static_cast<int>(entries[i]); };
    __m128i loaded = _mm_cvtsi32_si128(at(static_cast<uint32_t>(first)));
    loaded = _mm_insert_epi32(loaded, at(first >> 32), 1);
    loaded = _mm_insert_epi32(loaded, at(static_cast<uint32_t>(second)), 2);
    return _mm_insert_epi32(loaded, at(second >> 32), 3);
  };
  return _mm256_set_m128i(half(_mm256_extracti128_si256(index, 1)), half(_mm256_castsi256_si128(index)));
}

// How a context becomes the index of its table's first entry.
enum class Lookup { kOneTable, kSixteenContexts, kAnyContext };

template <Lookup kLookup>
inline __m256i table_offsets(const RansTables& tables, const uint8_t* contexts) {
  if constexpr (kLookup == Lookup::kOneTable) {
    return _mm256_setzero_si256();
  } else if constexpr (kLookup == Lookup::kSixteenContexts) {
    const __m128i table_of = _mm_loadu_si128(reinterpret_cast<const __m128i*>(tables.table_of));
    const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(contexts));
    return _mm256_slli_epi32(_mm256_cvtepu8_epi32(_mm_shuffle_epi8(table_of, eight)), kRansPrecision);
  } else {
    return _mm256_i32gather_epi32(reinterpret_cast<const int*>(tables.offset_of), widen_bytes(contexts), 4);
  }
}

template <int kVectors, Lookup kLookup>
bool decode_groups(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t groups,
                   uint8_t* tokens) {
  const uint32_t* const entries = tables.entries.get();
  const __m256i slot_mask = _mm256_set1_epi32(kRansSlots - 1), one = _mm256_set1_epi32(1);
  __m256i state[kVectors], entry[kVectors];
  for (int v = 0; v < kVectors; ++v) state[v] = _mm256_loadu_si256(reinterpret_cast<__m256i*>(stream.states) + v);
  const uint16_t* word = stream.word;
  for (size_t g = 0; g < groups && word <= stream.words_end; ++g) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      __m256i slot = _mm256_and_si256(state[v], slot_mask);
      if (kLookup != Lookup::kOneTable)
        slot = _mm256_or_si256(slot, table_offsets<kLookup>(tables, contexts + 8 * v));
      entry[v] = kLookup == Lookup::kAnyContext
                     ? _mm256_i32gather_epi32(reinterpret_cast<const int*>(entries), slot, 4)
                     : load_entries(entries, slot);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const __m256i frequency = _mm256_add_epi32(_mm256_and_si256(_mm256_srli_epi32(entry[v], 8), slot_mask), one);
      const __m256i advanced =
          _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(state[v], kRansPrecision)),
                           _mm256_srli_epi32(entry[v], 20));
      const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(advanced, 16), _mm256_setzero_si256());
      const unsigned mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(low)));
      const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(word)));
      const __m256i refill = _mm256_permutevar8x32_epi32(words, widen_bytes(&kRefillOrder.lanes[mask]));
      const __m256i refilled = _mm256_or_si256(_mm256_slli_epi32(advanced, 16), refill);
      state[v] = _mm256_blendv_epi8(advanced, refilled, low);
      word += static_cast<unsigned>(__builtin_popcount(mask));
    }
    const __m256i byte = _mm256_set1_epi32(255);
    for (int v = 0; v < kVectors; v += 2) {
      // Packing works within 128-bit halves, which leaves 4-byte groups 0 2 | 1 3.
      const __m256i pair =
          _mm256_packus_epi32(_mm256_and_si256(entry[v], byte), _mm256_and_si256(entry[v + 1], byte));
      const __m256i bytes = _mm256_packus_epi16(pair, pair);
      const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(tokens + 8 * v), _mm256_castsi256_si128(ordered));
    }
    tokens += 8 * kVectors;
    contexts += 8 * kVectors;
  }
  for (int v = 0; v < kVectors; ++v) _mm256_storeu_si256(reinterpret_cast<__m256i*>(stream.states) + v, state[v]);
  stream.word = word;
  return word <= stream.words_end;
}

template <int kVectors>
bool decode_groups_of(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t groups,
                      uint8_t* tokens) {
  if (tables.tables == 1)
    return decode_groups<kVectors, Lookup::kOneTable>(stream, tables, contexts, groups, tokens);
  if (tables.contexts <= 16)
    return decode_groups<kVectors, Lookup::kSixteenContexts>(stream, tables, contexts, groups, tokens);
  return decode_groups<kVectors, Lookup::kAnyContext>(stream, tables, contexts, groups, tokens);
}

inline __m256i from_zigzag(__m256i magnitude) {
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i half = _mm256_srli_epi32(_mm256_add_epi32(magnitude, one), 1);
  // Even magnitudes are minus their half: negate where the lowest bit is 0.
  const __m256i negative = _mm256_sub_epi32(_mm256_and_si256(magnitude, one), one);
  return _mm256_sub_epi32(_mm256_xor_si256(half, negative), negative);
}

// For each of 8 bit offsets, a byte of `starts` each: the bits from data + skip + offset on, at least 23 of them
// unless they end sooner at data + skip + total.
inline __m256i raw_windows(const uint8_t* data, uint64_t skip, uint64_t starts, uint64_t total) {
  if (total <= 57) {  // All lie in one 64-bit word.
    uint64_t window;
    std::memcpy(&window, data, 8);
    const __m256i all = _mm256_set1_epi64x(static_cast<long long>(window >> skip));
    const __m128i offsets = _mm_cvtsi64_si128(static_cast<long long>(starts));
    const __m256i low = _mm256_srlv_epi64(all, _mm256_cvtepu8_epi64(offsets));
    const __m256i high = _mm256_srlv_epi64(all, _mm256_cvtepu8_epi64(_mm_srli_si128(offsets, 4)));
    // The low 32 bits of each come as lanes 0 1 4 5 | 2 3 6 7.
    const __m256i halves = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
    return _mm256_permute4x64_epi64(halves, _MM_SHUFFLE(3, 1, 2, 0));
  }
  const __m256i start = _mm256_add_epi32(widen_bytes(&starts), _mm256_set1_epi32(static_cast<int>(skip)));
  const int* const window = reinterpret_cast<const int*>(data);
  const __m256i loaded = _mm256_i32gather_epi32(window, _mm256_srli_epi32(start, 3), 1);
  return _mm256_srlv_epi32(loaded, _mm256_and_si256(start, _mm256_set1_epi32(7)));
}

template <bool kSigned>
inline void store_values(__m256i magnitude, int32_t* values) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), kSigned ? from_zigzag(magnitude) : magnitude);
}

// Eight tokens. Returns the position after their raw bits.
template <bool kSigned>
inline uint64_t read_eight(const uint8_t* data, uint64_t position, const uint8_t* tokens, int32_t* values) {
  const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(tokens));
  const __m128i is_long = _mm_cmpgt_epi8(eight, _mm_set1_epi8(15));
  const __m128i quarter = _mm_and_si128(_mm_srli_epi16(eight, 2), _mm_set1_epi8(63));
  const __m128i length8 = _mm_and_si128(_mm_sub_epi8(quarter, _mm_set1_epi8(2)), is_long);
  // Times 0x01..01: running sums in bytes, at most 8 * 23.
  const auto lengths = static_cast<uint64_t>(_mm_cvtsi128_si64(length8));
  const uint64_t ends = lengths * 0x0101010101010101;
  const __m256i shifted = raw_windows(data + (position >> 3), position & 7, ends - lengths, ends >> 56);
  const __m256i length = _mm256_cvtepu8_epi32(length8);
  const __m256i raw = _mm256_andnot_si256(_mm256_sllv_epi32(_mm256_set1_epi32(-1), length), shifted);
  // A token below 16 is its own base; a longer one stands for 4 to 7 times a power of two.
  const __m128i four_to_seven = _mm_or_si128(_mm_and_si128(eight, _mm_set1_epi8(3)), _mm_set1_epi8(4));
  const __m256i first = _mm256_cvtepu8_epi32(_mm_blendv_epi8(eight, four_to_seven, is_long));
  store_values<kSigned>(_mm256_add_epi32(_mm256_sllv_epi32(first, length), raw), values);
  return position + (ends >> 56);
}

template <bool kSigned>
bool read_raw(RawBits& bits, const uint8_t* tokens, size_t count, int32_t* values) {
  uint64_t position = bits.position;
  size_t i = 0;
  for (; i + 32 <= count && position <= bits.end; i += 32) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tokens + i));
    // Asked once for 32: of 8 it would often be a coin toss.
    const bool any_long = _mm256_movemask_epi8(_mm256_cmpgt_epi8(all, _mm256_set1_epi8(15))) != 0;
    for (size_t k = i; k < i + 32; k += 8)
      if (any_long)
        position = read_eight<kSigned>(bits.data, position, tokens + k, values + k);
      else
        store_values<kSigned>(widen_bytes(tokens + k), values + k);
  }
  for (; i < count && position <= bits.end; i += 8)
    position = read_eight<kSigned>(bits.data, position, tokens + i, values + i);
  bits.position = position;
  return position <= bits.end;
}

}  // namespace

bool rans_decode_groups_avx2(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                             size_t groups, uint8_t* tokens) {
  return ways == 32 ? decode_groups_of<4>(stream, tables, contexts, groups, tokens)
                    : decode_groups_of<2>(stream, tables, contexts, groups, tokens);
}

bool read_raw_bits_avx2(RawBits& bits, const uint8_t* tokens, size_t count, bool is_signed, int32_t* values) {
  return is_signed ? read_raw<true>(bits, tokens, count, values) : read_raw<false>(bits, tokens, count, values);
}

#else  // Never called: has_avx2() is false.

bool rans_decode_groups_avx2(RansStream&, int, const RansTables&, const uint8_t*, size_t, uint8_t*) {
  return false;
}
bool read_raw_bits_avx2(RawBits&, const uint8_t*, size_t, bool, int32_t*) { return false; }

#endif

}  // namespace scenepress
