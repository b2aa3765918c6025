// Levels of splats: whole-level decoders on arbitrary and damaged payloads against the same in steps, neighbours
// against a plain search, what follows from shapes within its limits, bit fields there and back.
//
// Input: [what] and then numbers, as many as the target wants (zeros after the end); the rest is a payload.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/bits.h"
#include "core/context.h"
#include "core/shape.h"
#include "core/table_set.h"
#include "cpu/context.h"
#include "cpu/rans.h"
#include "cpu/sh_planes.h"
#include "cpu/shape.h"
#include "cpu/splat_levels.h"
#include "cpu/table_fit.h"
#include "cpu/tokens.h"

namespace {

using namespace scenepress;
using Bytes = std::vector<uint8_t>;
using Ints = std::vector<int32_t>;

void require(bool condition) {
  if (!condition) std::abort();
}

// Numbers out of the input.
struct Source {
  const uint8_t* data;
  size_t size, at = 0;

  uint64_t bytes(int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | (at < size ? data[at++] : 0);
    return value;
  }
  // Uniform enough, low..high.
  int64_t within(int64_t low, int64_t high) {
    const uint64_t range = static_cast<uint64_t>(high - low) + 1;
    return low + static_cast<int64_t>(bytes(range > 65536 ? 5 : range > 256 ? 3 : 1) % range);
  }
  // +-limit, of every size.
  int32_t any(int64_t limit) { return static_cast<int32_t>(within(-limit, limit) >> within(0, 24)); }
  Ints many(size_t count, int64_t limit) {
    Ints values(count);
    for (int32_t& v : values) v = any(limit);
    return values;
  }
};

void check_neighbours(Source& in) {
  std::vector<uint64_t> codes(static_cast<size_t>(in.within(0, 20))),
      coarse(static_cast<size_t>(in.within(1, 20)));
  const int shift = static_cast<int>(in.within(0, 60));
  for (auto* list : {&codes, &coarse}) {
    for (uint64_t& c : *list) c = (in.bytes(8) >> 1) >> shift;
    std::sort(list->begin(), list->end());
  }
  Ints out(2 * codes.size());
  neighbours(codes.data(), int64_t(codes.size()), coarse.data(), int64_t(coarse.size()), out.data());
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto at = std::lower_bound(coarse.begin(), coarse.end(), codes[i]) - coarse.begin();
    std::vector<int32_t> near;
    for (int64_t j = std::max<int64_t>(0, at - 4); j < std::min<int64_t>(at + 4, int64_t(coarse.size())); ++j)
      near.push_back(static_cast<int32_t>(j));
    const Point p = unmorton(codes[i]);
    const auto distance = [&](int32_t j) {
      const Point q = unmorton(coarse[size_t(j)]);
      return (p.x - q.x) * (p.x - q.x) + (p.y - q.y) * (p.y - q.y) + (p.z - q.z) * (p.z - q.z);
    };
    std::stable_sort(near.begin(), near.end(), [&](int32_t a, int32_t b) { return distance(a) < distance(b); });
    require(out[2 * i] == near[0] && out[2 * i + 1] == (near.size() == 1 ? near[0] : near[1]));
  }
}

void check_shapes(Source& in) {
  ScaleCurve curve{};
  curve.origin = in.within(-kScaleLimit, kScaleLimit);
  for (int i = 0; i < kSizes; ++i) {
    curve.width[i] = static_cast<int32_t>(in.within(1, 1024));
    curve.start[i + 1] = curve.start[i] + curve.width[i];
  }
  const size_t n = 8;
  Ints coded = in.many(3 * n, kLimit), logs(3 * n), steps(3 * n), vectors = in.many(3 * n, kLimit);
  std::sort(coded.begin(), coded.end());
  expand_scales(coded.data(), 3 * n, curve, logs.data());
  require(std::is_sorted(logs.begin(), logs.end()));
  require(logs.front() >= -kScaleLimit && logs.back() <= kScaleLimit);

  Bytes base(16), gain(kKnots), lift(kSizes), classes(n);
  for (auto* list : {&base, &gain, &lift})
    for (uint8_t& b : *list) b = static_cast<uint8_t>(in.bytes(1));
  for (uint8_t& c : classes) c = static_cast<uint8_t>(in.within(0, 15));
  std::reverse(logs.begin() + n, logs.begin() + 2 * n);
  rotation_steps({base.data(), gain.data(), lift.data(), curve.origin}, classes.data(), logs.data(), n,
                 steps.data());
  for (int32_t s : steps) require(s >= 1 && s < 65536);

  const Ints offset = in.many(48, 1 << 20), slope = in.many(9, 32767);
  const int64_t cell = in.within(1, 40);
  std::vector<int64_t> exponents(3 * n), world(3 * n);
  position_exponents({offset.data(), 16, slope.data(), in.any(1 << 20), cell}, classes.data(), logs.data(),
                     vectors.data(), n, exponents.data(), world.data());
  for (size_t i = 0; i < n; ++i) require((1 << world[i] | 1 << world[n + i] | 1 << world[2 * n + i]) == 7);
  for (int64_t e : exponents) require(e >= std::max<int64_t>(1, cell - kRefinementBits) && e <= cell);
}

void check_bits(Source& in) {
  const size_t n = static_cast<size_t>(in.within(0, 60));
  std::vector<uint32_t> fields(n);
  Bytes lengths(n);
  int64_t total = 0;
  for (size_t i = 0; i < n; ++i) {
    lengths[i] = static_cast<uint8_t>(in.within(0, 32));
    fields[i] = static_cast<uint32_t>(in.bytes(4));
    total += lengths[i];
  }
  const auto packed = std::make_unique<uint8_t[]>(size_t(total + 7) / 8);
  int64_t at = 0;
  for (size_t i = 0; i < n; at += lengths[i++]) put_bits(packed.get(), at, fields[i], lengths[i]);
  at = 0;
  for (size_t i = 0; i < n; at += lengths[i++])
    require(get_bits(packed.get(), at, lengths[i]) == (fields[i] & ((uint64_t{1} << lengths[i]) - 1)));
}

// A level of a tile: what both decoders take.
struct Tile {
  size_t known, n, capacity;
  Ints near, steps;
  Bytes classes;

  explicit Tile(Source& in) {
    known = static_cast<size_t>(in.within(0, 9)), n = static_cast<size_t>(in.within(1, 70));
    capacity = known + n;
    if (known)
      for (size_t i = 0; i < 2 * n; ++i) near.push_back(static_cast<int32_t>(in.within(0, int64_t(known) - 1)));
    for (size_t i = 0; i < n; ++i) {
      steps.push_back(static_cast<int32_t>(in.within(1, 65535) >> in.within(0, 15)));
      steps.back() += steps.back() == 0;
      classes.push_back(static_cast<uint8_t>(in.within(0, 3)));
    }
  }
};

RansTables tables_of(const TableSet& set) {
  return RansTables(&set.frequencies[0][0], size_t(set.tables), set.context_map, size_t(set.contexts));
}

// A table set of the input, or one that knows all tokens of 255 contexts.
std::unique_ptr<TableSet> some_tables(Source& in) {
  auto set = std::make_unique<TableSet>();
  const uint8_t all[] = {0x01, 0x67, uint8_t(0x40 + in.within(0, 191))};
  size_t offset = 0;
  if (in.within(0, 1) && !parse_table_set(in.data + in.at, in.size - in.at, &offset, set.get())) {
    in.at += offset;
    return set;
  }
  offset = 0;
  require(!parse_table_set(all, sizeof all, &offset, set.get()));
  if (in.within(0, 7)) {
    set->contexts = 255;
    std::memset(set->context_map, 0, 255);
  }
  return set;
}

// The rest of the input, or a payload whose lengths fit together, filled with it.
Bytes some_payload(Source& in) {
  if (!in.within(0, 3)) return Bytes(in.data + in.at, in.data + in.size);
  const int log_ways = static_cast<int>(in.within(0, 5));
  const int words = static_cast<int>(in.within(0, 127)), raw = static_cast<int>(in.within(0, 127));
  Bytes out{static_cast<uint8_t>(log_ways), static_cast<uint8_t>(words), static_cast<uint8_t>(raw)};
  for (int w = 0; w < 1 << log_ways; ++w)
    for (int b = 0; b < 4; ++b) out.push_back(static_cast<uint8_t>(in.bytes(1) | (b == 2)));
  for (int b = 0; b < 2 * words + (raw + 7) / 8; ++b) out.push_back(static_cast<uint8_t>(in.bytes(1)));
  if (raw % 8) out.back() &= static_cast<uint8_t>((1 << raw % 8) - 1);
  return out;
}

void check_channel(Source& in) {
  const Tile t(in);
  const int32_t channel = static_cast<int32_t>(in.within(0, 3));
  Ints inputs;
  for (int64_t j = in.within(0, 3); j > 0; --j) inputs.push_back(static_cast<int32_t>(in.within(0, 3)));
  Ints values = in.many(4 * t.capacity, kLimit), bias = in.many(4, kLimit);
  const Ints weights = in.many(t.known ? 2 + 3 * inputs.size() : inputs.size(), 32767);
  const auto set = some_tables(in);
  const RansTables tables = tables_of(*set);
  const Bytes payload = some_payload(in);
  const Prediction p{values.data(), int64_t(t.capacity), int64_t(t.known),       t.known ? t.near.data() : nullptr,
                     channel,       inputs.data(),       int64_t(inputs.size()), weights.data(),
                     bias.data(),   t.classes.data(),    t.steps.data()};
  Ints base(t.n), symbols(t.n), wanted(t.n);
  Bytes contexts(t.n), flip(t.n);
  predict(p, int64_t(t.n), true, base.data(), contexts.data(), flip.data());
  const Ints before = values;
  bool decoded[2] = {false, false}, stepped = false;
  Ints found[2];
  for (int portable = 0; portable < 2; ++portable) {
    values = before;
    try {
      RansDecoder decoder(payload.data(), payload.size(), portable);
      decode_channel(decoder, tables, p, int64_t(t.n), values.data());
      decoded[portable] = true;
    } catch (const std::invalid_argument&) {
    }
    found[portable] = values;
  }
  try {
    RansDecoder decoder(payload.data(), payload.size(), true);
    for (uint8_t c : contexts)
      if (c >= tables.contexts) throw std::invalid_argument("context");
    decoder.values(tables, contexts.data(), t.n, true, symbols.data());
    reconstruct(base.data(), flip.data(), symbols.data(), t.steps.data(), int64_t(t.n), true, wanted.data());
    stepped = true;
  } catch (const std::invalid_argument&) {
  }
  require(decoded[0] == decoded[1] && decoded[0] == stepped);
  if (!stepped) return;
  Ints expected = before;
  std::copy(wanted.begin(), wanted.end(), expected.begin() + int64_t(channel * t.capacity + t.known));
  require(found[0] == expected && found[1] == expected);
  for (int32_t v : wanted) require(v >= -kLimit && v <= kLimit);
}

void check_sh(Source& in) {
  constexpr size_t kColumns = 7, kWidth = 9;
  const Tile t(in);
  Ints planes(kColumns * t.capacity), bounds{0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  Bytes extents(t.capacity);
  for (size_t i = 0; i < t.known; ++i) {
    extents[i] = static_cast<uint8_t>(in.within(0, kShGroups));
    for (size_t j = 0; j < kColumns; ++j) planes[j * t.capacity + i] = in.any(kShLimit);
  }
  const auto extent_set = some_tables(in), group_set = some_tables(in);
  const RansTables extent_tables = tables_of(*extent_set), tables = tables_of(*group_set);
  const Bytes payload = some_payload(in);
  const RansTables* groups[kShGroups];
  const uint64_t absent = in.bytes(2) & in.bytes(2) & in.bytes(2);
  for (int g = 0; g < kShGroups; ++g) groups[g] = absent >> g & 1 ? nullptr : &tables;
  bool decoded[2] = {false, false};
  Ints found[2];
  Bytes out[2];
  for (int portable = 0; portable < 2; ++portable) {
    found[portable] = planes, out[portable] = extents;
    const ShLevel level{found[portable].data(),
                        int64_t(t.capacity),
                        int64_t(kColumns),
                        int64_t(t.known),
                        int64_t(t.n),
                        t.known ? t.near.data() : nullptr,
                        t.classes.data(),
                        t.steps.data(),
                        out[portable].data(),
                        bounds.data(),
                        nullptr};
    try {
      RansDecoder decoder(payload.data(), payload.size(), portable);
      decode_sh_level(decoder, extent_tables, groups, level, out[portable].data() + t.known);
      decoded[portable] = true;
    } catch (const std::invalid_argument&) {
    }
  }
  require(decoded[0] == decoded[1]);
  if (!decoded[0]) return;
  require(found[0] == found[1] && out[0] == out[1]);
  for (size_t j = 0; j < kColumns; ++j)
    for (size_t i = 0; i < t.capacity; ++i) {
      const int32_t v = found[0][j * t.capacity + i];
      require(v >= -kShLimit && v <= kShLimit);
      require(i >= t.known ? v == 0 || int32_t(j) < bounds[out[0][i]] : v == planes[j * t.capacity + i]);
    }
  const Ints rows = in.many(kColumns * kWidth, 127);
  Ints steps(t.capacity, 1), shift;
  std::copy(t.steps.begin(), t.steps.end(), steps.begin() + int64_t(t.known));
  for (size_t j = 0; j < kColumns; ++j) shift.push_back(static_cast<int32_t>(in.within(0, 64)));
  std::vector<float> coefficients[2];
  for (int portable = 0; portable < 2; ++portable) {
    coefficients[portable].resize(t.capacity * kWidth);
    const ShTransform transform{found[0].data(), int64_t(t.capacity), kColumns,   kWidth,
                                steps.data(),    shift.data(),        rows.data()};
    sh_inverse(transform, int64_t(t.capacity), portable, coefficients[portable].data());
  }
  require(coefficients[0] == coefficients[1]);
  for (float c : coefficients[0]) require(c > -300.f && c < 300.f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Source in{data + 1, size - 1};
  constexpr void (*kChecks[])(Source&) = {check_neighbours, check_shapes, check_bits, check_channel,
                                          check_channel,    check_sh,     check_sh};
  kChecks[data[0] % 7](in);
  return 0;
}
