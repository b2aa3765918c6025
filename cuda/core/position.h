// Position stage: docs/spec/position.md. Normative twin: kernels/reference_position.py.
//
// One walk over the binary trie of the codes serves the encoder and the decoder: it asks `io` how many
// codes go left, and `io` either knows (and codes it) or finds out. The walk goes depth by depth, so that
// a node knows how many codes lie in the cells beside it: they say where its own codes probably are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/binary_coder.h"
#include "core/host_device.h"

namespace scenepress {

constexpr int kPositionMaxBits = 63;
constexpr uint32_t kPositionMaxCount = 1u << 24;
constexpr uint32_t kPositionExactCount = 16;  // Below it, the split of n codes is coded exactly.
constexpr uint32_t kPositionSizes = 8;        // Classes of n from there on.
constexpr uint32_t kPositionRatios = 6;
constexpr uint32_t kPositionWeights = 5;
constexpr uint32_t kPositionContexts = kPositionRatios * kPositionWeights;
constexpr uint32_t kPositionPriorRate = 1024;  // Adaptive bits that start from a prior move by 1/64 at first.

// Contexts of a split: n (or its size class), what the neighbours say, node of the binary tree over the answer.
struct PositionModel {
  AdaptiveBit split[kPositionExactCount + kPositionSizes][kPositionContexts][16];
};

// A cell with codes still to be told apart. The cells of one depth are sorted by prefix.
struct PositionNode {
  uint64_t prefix;
  uint32_t n;      // Codes in the cell,
  uint32_t left;   // of them with a 0 next (once visited).
  uint32_t first;  // Index of the first of them.
  uint32_t coarse_begin, coarse_end;
  uint32_t parent;
  uint32_t child[2];
  uint32_t beside[3][2];  // Per axis (z, y, x), before and after: the equal cells there.
};

// References to cells: an index into their depth's nodes, or a lone code whose bits are all known.
constexpr uint32_t kPositionNone = 0;         // The first node of each depth is empty and divides into itself.
constexpr uint32_t kPositionLone = 1u << 31;  // | index of the code.

// Before anything is learnt, a split follows a beta-binomial law with these parameters, in 1/16.
struct PositionPrior {
  uint16_t heavy, light;
};
constexpr PositionPrior kPositionPriors[kPositionContexts] = {
    {9, 9},   {9, 9},   {9, 9},   {9, 9},   {24, 15}, {18, 18}, {9, 9},   {9, 9},   {25, 12}, {27, 14},
    {30, 25}, {23, 24}, {9, 9},   {30, 9},  {31, 12}, {33, 20}, {33, 25}, {31, 29}, {36, 5},  {34, 8},
    {38, 17}, {39, 23}, {37, 28}, {34, 32}, {37, 3},  {45, 11}, {44, 17}, {44, 23}, {45, 31}, {47, 42}};

// value > 0.
SP_HOST_DEVICE inline int floor_log2(uint32_t value) {
#ifdef __CUDA_ARCH__
  return 31 - __clz(int(value));
#else
  return 31 - __builtin_clz(value);
#endif
}

// The first of codes[begin, end) that is >= value, end if none. Halves without branches on what it finds.
SP_HOST_DEVICE inline uint32_t first_not_below(const uint64_t* codes, uint32_t begin, uint32_t end,
                                               uint64_t value) {
  if (begin == end) return begin;
  uint32_t size = end - begin;
  while (size > 1) {
    const uint32_t half = size / 2;
    begin += half & (0u - uint32_t(codes[begin + half - 1] < value));
    size -= half;
  }
  return begin + uint32_t(codes[begin] < value);
}

// Fills the tree of one n < kPositionExactCount: how likely each bit is, given the law of the value.
inline void set_split_prior(AdaptiveBit* tree, uint32_t n, PositionPrior prior) {
  uint64_t likelihood[16] = {};
  likelihood[n] = uint64_t(1) << 30;
  for (uint32_t k = n; k > 0; --k)
    likelihood[k - 1] =
        likelihood[k] * (k * (prior.light + 16 * (n - k))) / ((n - k + 1) * (prior.heavy + 16 * (k - 1)));
  uint64_t sums[32];  // Of the values under each node of the tree; its leaves are 16 to 31.
  int height = floor_log2(n) + 1;
  for (int node = (2 << height) - 1; node > 0; --node) {
    const uint32_t value = uint32_t(node) - (1u << height);
    sums[node] = node >> height ? (value <= n ? likelihood[value] + 1 : 0) : sums[2 * node] + sums[2 * node + 1];
  }
  for (int node = 1; node < 1 << height; ++node) {
    if (sums[2 * node + 1] == 0) continue;  // An implied bit.
    const uint64_t p = 65536 * sums[2 * node + 1] / sums[node];
    tree[node].fast = tree[node].slow = uint16_t(p < 64 ? 64 : p > 65472 ? 65472 : p);
    tree[node].rate = uint16_t(kPositionPriorRate);
  }
}

inline void set_position_priors(PositionModel& model) {
  for (uint32_t n = 1; n < kPositionExactCount + kPositionSizes; ++n)
    for (uint32_t context = 0; context < kPositionContexts; ++context)
      set_split_prior(model.split[n][context], n < kPositionExactCount ? n : kPositionExactCount - 1,
                      kPositionPriors[context]);
}

// What the surroundings say about a split: the context, and whether the right half is the heavier one.
struct PositionContext {
  uint32_t index;
  bool flipped;
};

SP_HOST_DEVICE inline PositionContext position_context(uint32_t left_weight, uint32_t right_weight) {
  const bool flipped = right_weight > left_weight;
  const uint32_t light = flipped ? left_weight : right_weight;
  const uint32_t total = left_weight + right_weight;
  const uint32_t ratio = 2 * kPositionRatios * (light + 1) / (total + 2);
  const uint32_t size = uint32_t(floor_log2(total | 1u));
  const uint32_t weight = size < kPositionWeights ? size : kPositionWeights - 1;
  return {weight * kPositionRatios + (ratio < kPositionRatios ? ratio : kPositionRatios - 1), flipped};
}

// Codes a value in [0, n], n >= 1, through the adaptive bits of one context.
template <typename Io>
SP_HOST_DEVICE inline uint32_t code_split(Io& io, PositionModel& model, uint32_t n, uint32_t context,
                                          uint32_t known) {
  if (n < kPositionExactCount) {
    AdaptiveBit* tree = model.split[n][context];
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
  const uint32_t size = uint32_t(floor_log2(n)) - 4;
  AdaptiveBit* tree =
      model.split[kPositionExactCount + (size < kPositionSizes ? size : kPositionSizes - 1)][context];
  const uint32_t known_part = 16 * known / (n + 1);  // n <= 2^24.
  uint32_t node = 1;
  for (int b = 3; b >= 0; --b) node = 2 * node + io.bit(tree[node], known_part >> b & 1u);
  const uint32_t part = node - 16;
  const uint32_t first = (part * (n + 1) + 15) / 16;
  const uint32_t end = ((part + 1) * (n + 1) + 15) / 16;
  return first + io.truncated(known - first, end - first);
}

// The nodes of one depth know their neighbours through those of the depth above.
template <typename Io>
struct PositionWalk {
  Io& io;
  PositionModel& model;
  const uint64_t* coarse;
  const PositionNode* above = nullptr;
  PositionNode* here = nullptr;
  PositionNode* under = nullptr;
  uint32_t under_count = 0;
  int below = 0;                      // Bits of the codes not yet known here.
  int now = 0, next = 0, before = 0;  // Axes (0 = z, 1 = y, 2 = x) of this split, the one after, the one before.

  // Like the other two on neighbours, without branches: what a neighbour is cannot be predicted.
  // The half of a cell of the depth above that is on `side` of its split.
  SP_HOST_DEVICE uint32_t half(uint32_t cell, uint32_t side) const {
    const uint32_t lone = cell >> 31;
    const uint32_t kept = above[lone ? kPositionNone : cell].child[side];
    const uint64_t code = io.code(lone ? cell ^ kPositionLone : 0);
    const uint32_t matches = lone & uint32_t((code >> below & 1u) == side);
    return kept | (cell & (0u - matches));
  }

  SP_HOST_DEVICE uint32_t count(uint32_t cell) const {
    const uint32_t lone = cell >> 31;
    return here[lone ? kPositionNone : cell].n + lone;
  }

  // How the codes of a cell that comes before the current one divide.
  SP_HOST_DEVICE void add_halves(uint32_t cell, uint32_t& left, uint32_t& right) const {
    const uint32_t lone = cell >> 31;
    const PositionNode& node = here[lone ? kPositionNone : cell];
    const uint64_t code = io.code(lone ? cell ^ kPositionLone : 0);
    const uint32_t bit = uint32_t(code >> (below - 1) & 1u);
    left += node.left + (lone & (bit ^ 1u));
    right += node.n - node.left + (lone & bit);
  }

  SP_HOST_DEVICE uint32_t add_child(const PositionNode& node, uint32_t index, uint32_t side, uint32_t n,
                                    uint32_t split) {
    PositionNode& child = under[under_count];  // Overwritten by the next one if this one is empty.
    child.prefix = node.prefix | uint64_t(side) << (below - 1);
    child.n = n;
    child.first = node.first + (side ? node.left : 0);
    child.coarse_begin = side ? split : node.coarse_begin;
    child.coarse_end = side ? node.coarse_end : split;
    child.parent = index;
    const uint32_t exists = n > 0;
    const uint32_t cell = under_count & (0u - exists);  // kPositionNone if empty.
    under_count += exists;
    return cell;
  }

  SP_HOST_DEVICE void visit(uint32_t index) {
    PositionNode& node = here[index];
    const PositionNode& parent = above[node.parent];
    const uint32_t side = uint32_t(node.prefix >> below & 1u);
    const uint64_t middle = node.prefix | uint64_t(1) << (below - 1);
    const uint32_t split = first_not_below(coarse, node.coarse_begin, node.coarse_end, middle);
    // Axes by depth: the split now, the next one, and the one before, which made this node.
    node.beside[now][0] = half(parent.beside[now][0], side);
    node.beside[now][1] = half(parent.beside[now][1], side);
    node.beside[next][0] = half(parent.beside[next][0], side);
    const uint32_t outer = half(parent.beside[before][side], 1 - side);
    node.beside[before][side] = outer;
    node.beside[before][1 - side] = parent.child[1 - side];

    uint32_t far = 0, near = 0;
    add_halves(node.beside[now][0], far, near);
    uint32_t left_weight = 3 * (split - node.coarse_begin) + 2 * near;
    uint32_t right_weight = 3 * (node.coarse_end - split) + count(node.beside[now][1]);
    add_halves(node.beside[next][0], left_weight, right_weight);
    add_halves(node.beside[before][0], left_weight, right_weight);
    if (node.n == 1 && node.coarse_begin == node.coarse_end && left_weight + right_weight < 2) {
      const uint64_t code = node.prefix | io.raw(io.suffix(node.first, below), below);
      io.emit(node.first, 1, code);
      const uint32_t bit = uint32_t(code >> (below - 1) & 1u);
      node.left = 1 - bit;
      node.child[bit] = node.first | kPositionLone;
      node.child[1 - bit] = kPositionNone;
      return;
    }
    node.beside[next][1] = half(parent.beside[next][1], side);
    const PositionContext context = position_context(left_weight, right_weight);
    const uint32_t known = io.left_count(node.first, node.n, middle);
    const uint32_t heavy = code_split(io, model, node.n, context.index, context.flipped ? node.n - known : known);
    node.left = context.flipped ? node.n - heavy : heavy;
    if (below == 1) {
      io.emit(node.first, node.left, node.prefix);
      io.emit(node.first + node.left, node.n - node.left, middle);
      return;
    }
    node.child[0] = add_child(node, index, 0, node.left, split);
    node.child[1] = add_child(node, index, 1, node.n - node.left, split);
  }
};

// Room that walk_positions needs for n codes, in nodes.
SP_HOST_DEVICE inline size_t position_room(uint32_t n) { return 2 * (size_t(n) + 2) + 1; }

// `io` has: bit(AdaptiveBit&, known), raw(known, bits), truncated(known, values), left_count(first, n, middle),
// suffix(index, bits), code(index), emit(first, copies, code), failed(). n > 0. nodes: position_room(n) of them.
// Returns false if io failed.
template <typename Io>
SP_HOST_DEVICE inline bool walk_positions(Io& io, PositionModel& model, PositionNode* nodes, uint32_t n,
                                          const uint64_t* coarse, uint32_t m, int bits) {
  if (bits == 0) {
    io.emit(0, n, 0);
    return !io.failed();
  }
  PositionNode* const buffers[2] = {nodes + 1, nodes + 1 + n + 2};
  PositionWalk<Io> walk{io, model, coarse};
  nodes[0] = PositionNode{};  // Above the root is nothing.
  buffers[0][0] = buffers[1][0] = PositionNode{};
  walk.above = nodes;
  walk.here = buffers[0];
  walk.here[1] = PositionNode{};
  walk.here[1].n = n;
  walk.here[1].coarse_end = m;
  uint32_t here_end = 2;
  for (walk.below = bits; walk.below > 0 && here_end > 1; --walk.below) {
    walk.now = (walk.below - 1) % 3;
    walk.next = (walk.below + 1) % 3;
    walk.before = walk.below % 3;
    walk.under = walk.here == buffers[0] ? buffers[1] : buffers[0];
    walk.under_count = 1;
    for (uint32_t i = 1; i < here_end; ++i) {
      if (io.failed()) return false;
      walk.visit(i);
    }
    walk.above = walk.here;
    walk.here = walk.under;
    here_end = walk.under_count;
  }
  return !io.failed();
}

struct PositionEncoderIo {
  BinaryEncoder& coder;
  RawBitWriter& raw_bits;
  const uint64_t* codes;

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
  SP_HOST_DEVICE uint32_t left_count(uint32_t first, uint32_t n, uint64_t middle) const {
    return first_not_below(codes, first, first + n, middle) - first;
  }
  SP_HOST_DEVICE uint64_t suffix(uint32_t index, int bits) const {
    return codes[index] & ((uint64_t(1) << bits) - 1);
  }
  SP_HOST_DEVICE uint64_t code(uint32_t index) const { return codes[index]; }
  SP_HOST_DEVICE void emit(uint32_t, uint32_t, uint64_t) {}
};

struct PositionDecoderIo {
  BinaryDecoder& coder;
  RawBitReader& raw_bits;
  uint64_t* codes;

  SP_HOST_DEVICE PositionDecoderIo(BinaryDecoder& c, RawBitReader& r, uint64_t* out)
      : coder(c), raw_bits(r), codes(out) {
    codes[0] = 0;  // Read, in vain, where there is no lone code.
  }
  SP_HOST_DEVICE bool failed() const { return coder.exhausted() || raw_bits.exhausted(); }
  SP_HOST_DEVICE uint32_t bit(AdaptiveBit& state, uint32_t) { return coder.decode(state); }
  SP_HOST_DEVICE uint64_t raw(uint64_t, int bits) { return raw_bits.get(bits); }
  SP_HOST_DEVICE uint32_t truncated(uint32_t, uint32_t values) {
    const int bits = floor_log2(values);
    const uint32_t shorter = (2u << bits) - values;
    const uint32_t value = uint32_t(raw_bits.get(bits));
    return value < shorter ? value : (value << 1 | uint32_t(raw_bits.get(1))) - shorter;
  }
  SP_HOST_DEVICE uint32_t left_count(uint32_t, uint32_t, uint64_t) const { return 0; }
  SP_HOST_DEVICE uint64_t suffix(uint32_t, int) const { return 0; }
  SP_HOST_DEVICE uint64_t code(uint32_t index) const { return codes[index]; }
  SP_HOST_DEVICE void emit(uint32_t first, uint32_t copies, uint64_t code) {
    for (uint32_t i = 0; i < copies; ++i) codes[first + i] = code;
  }
};

// What a decoder found: the payload ends with the last code, before it, or elsewhere.
enum class PositionResult : int { kExact, kShort, kNotExact };

// Writes n <= kPositionMaxCount codes; on anything but kExact they mean nothing. model: the priors, which learn.
// nodes: position_room(n) of them.
SP_HOST_DEVICE inline PositionResult decode_positions(const uint8_t* payload, size_t size, uint64_t* codes,
                                                      uint32_t n, const uint64_t* coarse, uint32_t m, int bits,
                                                      PositionModel& model, PositionNode* nodes) {
  if (n == 0) return size == 0 ? PositionResult::kExact : PositionResult::kNotExact;
  uint64_t coded = 0;
  size_t header = 0;
  for (;;) {
    if (header >= size) return PositionResult::kShort;
    if (header > 4) return PositionResult::kNotExact;
    const uint32_t byte = payload[header];
    coded |= uint64_t(byte & 127u) << (7 * header++);
    if (byte >= 128) continue;
    if (byte == 0 && header > 1) return PositionResult::kNotExact;  // Not the shortest form.
    break;
  }
  if (coded > size - header) return PositionResult::kShort;
  BinaryDecoder coder(payload + header, size_t(coded));
  RawBitReader raw_bits(payload + header + coded, size - header - size_t(coded));
  PositionDecoderIo io(coder, raw_bits, codes);
  if (!walk_positions(io, model, nodes, n, coarse, m, bits)) return PositionResult::kShort;
  return coder.finished() && raw_bits.finished() ? PositionResult::kExact : PositionResult::kNotExact;
}

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
