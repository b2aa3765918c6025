// The loops of rans.cpp, four ways at a time, with the same results: the twin of rans_avx2.cpp.
#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include "cpu/rans.h"

namespace scenepress {
namespace {

// For each set of lanes that need a word: the bytes of the next 4 words that go to each byte, 128 for none.
struct RefillOrder {
  uint8_t bytes[16][16];
  constexpr RefillOrder() : bytes() {
    for (int mask = 0; mask < 16; ++mask) {
      int next = 0;
      for (int lane = 0; lane < 4; ++lane) {
        const bool needs = mask >> lane & 1;
        for (int k = 0; k < 4; ++k)
          bytes[mask][4 * lane + k] = static_cast<uint8_t>(needs && k < 2 ? 2 * next + k : 128);
        next += needs;
      }
    }
  }
};
constexpr RefillOrder kRefillOrder;

// What RansTables says of the symbols of four slots.
template <bool kOneTable>
inline v128_t load_symbols(const uint8_t* symbols, const uint32_t* of_symbol, const uint32_t* offset_of,
                           v128_t slot, const uint8_t* contexts) {
  const auto of = [&](uint32_t at, int lane) {
    const uint32_t offset = kOneTable ? 0 : offset_of[contexts[lane]];
    return of_symbol + offset / (kRansSlots / kRansSymbols) + symbols[offset + at];
  };
  v128_t v = wasm_v128_load32_zero(of(wasm_u32x4_extract_lane(slot, 0), 0));
  v = wasm_v128_load32_lane(of(wasm_u32x4_extract_lane(slot, 1), 1), v, 1);
  v = wasm_v128_load32_lane(of(wasm_u32x4_extract_lane(slot, 2), 2), v, 2);
  return wasm_v128_load32_lane(of(wasm_u32x4_extract_lane(slot, 3), 3), v, 3);
}

template <int kVectors, bool kOneTable>
bool decode_groups(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t groups,
                   uint8_t* tokens) {
  const uint8_t* const symbols = tables.symbols.get();
  const uint32_t *const of_symbol = tables.of_symbol.get(), *const offset_of = tables.offset_of;
  const v128_t slot_mask = wasm_i32x4_splat(kRansSlots - 1), one = wasm_i32x4_splat(1);
  const v128_t byte = wasm_i32x4_splat(255);
  v128_t state[kVectors], token[kVectors];
  for (int v = 0; v < kVectors; ++v) state[v] = wasm_v128_load(stream.states + 4 * v);
  const uint16_t* word = stream.word;
  for (size_t g = 0; g < groups && word <= stream.words_end; ++g) {
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const v128_t slot = wasm_v128_and(state[v], slot_mask);
      const v128_t entry = load_symbols<kOneTable>(symbols, of_symbol, offset_of, slot, contexts + 4 * v);
      const v128_t frequency = wasm_i32x4_add(wasm_v128_and(wasm_u32x4_shr(entry, 8), slot_mask), one);
      const v128_t advanced = wasm_i32x4_add(wasm_i32x4_mul(frequency, wasm_u32x4_shr(state[v], kRansPrecision)),
                                             wasm_i32x4_sub(slot, wasm_u32x4_shr(entry, 20)));
      const v128_t low = wasm_i32x4_eq(wasm_u32x4_shr(advanced, 16), wasm_i32x4_splat(0));
      const auto mask = static_cast<uint32_t>(wasm_i32x4_bitmask(low));
      const v128_t refill =
          wasm_i8x16_swizzle(wasm_v128_load64_zero(word), wasm_v128_load(kRefillOrder.bytes[mask]));
      state[v] = wasm_v128_bitselect(wasm_v128_or(wasm_i32x4_shl(advanced, 16), refill), advanced, low);
      word += __builtin_popcount(mask);
      token[v] = wasm_v128_and(entry, byte);
    }
#pragma unroll
    for (int v = 0; v < kVectors; v += 2) {
      const v128_t eight = wasm_i16x8_narrow_i32x4(token[v], token[v + 1]);
      wasm_v128_store64_lane(tokens + 4 * v, wasm_u8x16_narrow_i16x8(eight, eight), 0);
    }
    tokens += 4 * kVectors;
    contexts += 4 * kVectors;
  }
  for (int v = 0; v < kVectors; ++v) wasm_v128_store(stream.states + 4 * v, state[v]);
  stream.word = word;
  return word <= stream.words_end;
}

template <int kVectors>
bool decode_groups_of(RansStream& stream, const RansTables& tables, const uint8_t* contexts, size_t groups,
                      uint8_t* tokens) {
  return tables.tables == 1 ? decode_groups<kVectors, true>(stream, tables, contexts, groups, tokens)
                            : decode_groups<kVectors, false>(stream, tables, contexts, groups, tokens);
}

}  // namespace

bool rans_decode_groups_simd128(RansStream& stream, int ways, const RansTables& tables, const uint8_t* contexts,
                                size_t groups, uint8_t* tokens) {
  switch (ways) {
    case 8:
      return decode_groups_of<2>(stream, tables, contexts, groups, tokens);
    case 16:
      return decode_groups_of<4>(stream, tables, contexts, groups, tokens);
    default:
      return decode_groups_of<8>(stream, tables, contexts, groups, tokens);
  }
}

}  // namespace scenepress

#endif  // __wasm_simd128__
