// Position stage: docs/spec/position.md. Normative twin: kernels/reference_position.py.
//
// One walk over the binary trie of the codes serves the encoder and the decoder: it asks `io` how many
// codes go left, and `io` either knows (and codes it) or finds out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/binary_coder.h"
#include "core/host_device.h"

namespace scenepress {

constexpr int kPositionMaxBits = 63;
constexpr uint32_t kPositionMaxCount = 1u << 24;
constexpr uint32_t kPositionExactCount = 16;  // Below it, the split of n codes is coded exactly.
constexpr int kPositionShares = 16;           // 0: no coarse code here; else confidence and share on the left.
constexpr int kPositionSizes = 8;

struct PositionModel {
  AdaptiveBit exact[kPositionExactCount][kPositionShares][16];  // by n, share, node of the binary tree over n_left
  AdaptiveBit large[kPositionSizes][kPositionShares][16];       // by size of n, share, node of the tree over 16ths
};

// How a node's m coarse codes divide, as a context.
SP_HOST_DEVICE inline uint32_t position_share(uint32_t m, uint32_t m_left) {
  if (m == 0) return 0;
  const uint32_t confidence = m < 4 ? 0 : m < 16 ? 1 : 2;
  return 1 + confidence * 5 + (8 * m_left + m) / (2 * m);
}

SP_HOST_DEVICE inline int floor_log2(uint32_t value) {
  int log = 0;
  while (value >>= 1) ++log;
  return log;
}

// The first of coarse[begin, end) that is >= value, end if none.
SP_HOST_DEVICE inline uint32_t first_not_below(const uint64_t* codes, uint32_t begin, uint32_t end,
                                               uint64_t value) {
  while (begin < end) {
    const uint32_t middle = begin + (end - begin) / 2;
    if (codes[middle] < value)
      begin = middle + 1;
    else
      end = middle;
  }
  return begin;
}

// Codes how many of n >= 1 codes go left: any value in [0, n].
template <typename Io>
SP_HOST_DEVICE inline uint32_t code_left_count(Io& io, PositionModel& model, uint32_t n, uint32_t share,
                                               uint32_t known) {
  if (n < kPositionExactCount) {
    AdaptiveBit* tree = model.exact[n][share];
    uint32_t value = 0;
    uint32_t node = 1;
    for (int b = floor_log2(n); b >= 0; --b) {
      uint32_t bit = 0;  // Implied where a one would exceed n.
      if ((value | 1u << b) <= n) bit = io.bit(tree[node], known >> b & 1u);
      value |= bit << b;
      node = 2 * node + bit;
    }
    return value;
  }
  const int size = floor_log2(n) - 4;
  AdaptiveBit* tree = model.large[size < kPositionSizes ? size : kPositionSizes - 1][share];
  const uint32_t known_part = uint32_t(16 * uint64_t(known) / (n + 1));
  uint32_t node = 1;
  for (int b = 3; b >= 0; --b) node = 2 * node + io.bit(tree[node], known_part >> b & 1u);
  const uint32_t part = node - 16;
  const uint32_t first = uint32_t((uint64_t(part) * (n + 1) + 15) / 16);
  const uint32_t last = uint32_t((uint64_t(part + 1) * (n + 1) + 15) / 16) - 1;
  return first + io.truncated(known - first, last - first + 1);
}

// `io` has: bit(AdaptiveBit&, known), raw(known, bits), truncated(known, values), count_below(code, n),
// suffix(bits), emit(code, copies), failed(). Returns false if io failed.
template <typename Io>
SP_HOST_DEVICE inline bool walk_positions(Io& io, PositionModel& model, uint32_t n, const uint64_t* coarse,
                                          uint32_t m, int bits) {
  struct Node {
    uint64_t prefix;
    uint32_t n, coarse_begin, coarse_end;
    int32_t below;  // Bits still to code.
  };
  Node stack[kPositionMaxBits + 1];
  int depth = 0;
  if (n) stack[depth++] = {0, n, 0, m, bits};
  while (depth > 0) {
    Node node = stack[--depth];
    for (;;) {
      if (io.failed()) return false;
      if (node.below == 0) {
        io.emit(node.prefix, node.n);
        break;
      }
      if (node.n == 1 && node.coarse_begin == node.coarse_end) {
        io.emit(node.prefix | io.raw(io.suffix(node.below), node.below), 1);
        break;
      }
      const uint64_t right_prefix = node.prefix | uint64_t(1) << (node.below - 1);
      const uint32_t split = first_not_below(coarse, node.coarse_begin, node.coarse_end, right_prefix);
      const uint32_t share = position_share(node.coarse_end - node.coarse_begin, split - node.coarse_begin);
      const uint32_t left = code_left_count(io, model, node.n, share, io.count_below(right_prefix, node.n));
      --node.below;
      if (left == 0) {
        node.prefix = right_prefix;
        node.coarse_begin = split;
        continue;
      }
      if (left < node.n) stack[depth++] = {right_prefix, node.n - left, split, node.coarse_end, node.below};
      node.n = left;
      node.coarse_end = split;
    }
  }
  return !io.failed();
}

struct PositionEncoderIo {
  BinaryEncoder& coder;
  RawBitWriter& raw_bits;
  const uint64_t* codes;
  uint32_t next = 0;  // Codes emitted; the current node's codes start here.

  SP_HOST_DEVICE PositionEncoderIo(BinaryEncoder& c, RawBitWriter& r, const uint64_t* sorted)
      : coder(c), raw_bits(r), codes(sorted) {}
  SP_HOST_DEVICE bool failed() const { return coder.overflow || raw_bits.overflow; }
  SP_HOST_DEVICE uint32_t bit(AdaptiveBit& state, uint32_t known) {
    coder.encode(known, state);
    return known;
  }
  SP_HOST_DEVICE uint64_t raw(uint64_t known, int bits) {
    raw_bits.put(known, bits);
    return known;
  }
  SP_HOST_DEVICE uint32_t truncated(uint32_t known, uint32_t values) {
    const int bits = floor_log2(values);
    const uint32_t shorter = (2u << bits) - values;  // This many of the values take `bits`, the rest one more.
    if (known < shorter) {
      raw_bits.put(known, bits);
    } else {
      raw_bits.put((known + shorter) >> 1, bits);
      raw_bits.put((known + shorter) & 1u, 1);
    }
    return known;
  }
  SP_HOST_DEVICE uint32_t count_below(uint64_t code, uint32_t n) const {
    return first_not_below(codes, next, next + n, code) - next;
  }
  SP_HOST_DEVICE uint64_t suffix(int bits) const { return codes[next] & ((uint64_t(1) << bits) - 1); }
  SP_HOST_DEVICE void emit(uint64_t, uint32_t copies) { next += copies; }
};

struct PositionDecoderIo {
  BinaryDecoder& coder;
  RawBitReader& raw_bits;
  uint64_t* codes;
  uint32_t next = 0;

  SP_HOST_DEVICE PositionDecoderIo(BinaryDecoder& c, RawBitReader& r, uint64_t* out)
      : coder(c), raw_bits(r), codes(out) {}
  SP_HOST_DEVICE bool failed() const { return coder.exhausted() || raw_bits.exhausted(); }
  SP_HOST_DEVICE uint32_t bit(AdaptiveBit& state, uint32_t) { return coder.decode(state); }
  SP_HOST_DEVICE uint64_t raw(uint64_t, int bits) { return raw_bits.get(bits); }
  SP_HOST_DEVICE uint32_t truncated(uint32_t, uint32_t values) {
    const int bits = floor_log2(values);
    const uint32_t shorter = (2u << bits) - values;
    const uint32_t value = uint32_t(raw_bits.get(bits));
    return value < shorter ? value : (value << 1 | uint32_t(raw_bits.get(1))) - shorter;
  }
  SP_HOST_DEVICE uint32_t count_below(uint64_t, uint32_t) const { return 0; }
  SP_HOST_DEVICE uint64_t suffix(int) const { return 0; }
  SP_HOST_DEVICE void emit(uint64_t code, uint32_t copies) {
    for (uint32_t i = 0; i < copies; ++i) codes[next++] = code;
  }
};

// Bits of x, y, z (below 2^21) interleaved, x in the highest bit of each triple.
SP_HOST_DEVICE inline uint64_t spread_bits(uint32_t value) {
  uint64_t x = value & 0x1FFFFFu;
  x = (x | x << 32) & 0x001F00000000FFFFu;
  x = (x | x << 16) & 0x001F0000FF0000FFu;
  x = (x | x << 8) & 0x100F00F00F00F00Fu;
  x = (x | x << 4) & 0x10C30C30C30C30C3u;
  return (x | x << 2) & 0x1249249249249249u;
}

SP_HOST_DEVICE inline uint32_t gather_bits(uint64_t x) {
  x &= 0x1249249249249249u;
  x = (x | x >> 2) & 0x10C30C30C30C30C3u;
  x = (x | x >> 4) & 0x100F00F00F00F00Fu;
  x = (x | x >> 8) & 0x001F0000FF0000FFu;
  x = (x | x >> 16) & 0x001F00000000FFFFu;
  return uint32_t(x | x >> 32) & 0x1FFFFFu;
}

SP_HOST_DEVICE inline uint64_t morton_code(const uint32_t* xyz) {
  return spread_bits(xyz[0]) << 2 | spread_bits(xyz[1]) << 1 | spread_bits(xyz[2]);
}

SP_HOST_DEVICE inline void morton_cell(uint64_t code, uint32_t* xyz) {
  xyz[0] = gather_bits(code >> 2);
  xyz[1] = gather_bits(code >> 1);
  xyz[2] = gather_bits(code);
}

}  // namespace scenepress
