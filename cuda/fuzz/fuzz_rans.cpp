// Table sets and rANS payloads: never a crash, all decoders alike, and what decodes encodes to the same bytes.
//
// Input: [how][count, 16 bits][planes] and then either a table set followed by a payload (how is even), or
// values to fit tables to, encode, damage and decode (how is odd).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "core/table_set.h"
#include "cpu/rans.h"
#include "cpu/table_fit.h"
#include "cpu/tokens.h"

namespace {

using scenepress::RansDecoder;
using scenepress::RansPlane;
using scenepress::RansTables;
using Bytes = std::vector<uint8_t>;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Decoded {
  bool finished = false;
  size_t planes = 0;  // decoded before the first error
  std::vector<std::vector<int32_t>> values;
};

// contexts: of every plane. Values beyond the first error are not compared: they mean nothing.
Decoded decode(const uint8_t* payload, size_t size, bool portable, const RansTables& tables, const Bytes& contexts,
               size_t planes, bool is_signed) {
  Decoded decoded;
  try {
    RansDecoder decoder(payload, size, portable);
    for (; decoded.planes < planes; ++decoded.planes) {
      std::vector<int32_t> values(contexts.size());
      decoder.values(tables, contexts.data(), contexts.size(), is_signed, values.data());
      decoded.values.push_back(std::move(values));
    }
    decoder.finish();
    decoded.finished = true;
  } catch (const std::invalid_argument&) {
  }
  return decoded;
}

Decoded decode_alike(const uint8_t* payload, size_t size, const RansTables& tables, const Bytes& contexts,
                     size_t planes, bool is_signed) {
  const Decoded plain = decode(payload, size, true, tables, contexts, planes, is_signed);
  const Decoded fast = decode(payload, size, false, tables, contexts, planes, is_signed);
  require(plain.finished == fast.finished && plain.values == fast.values);
  return plain;
}

Bytes encode(const std::vector<std::vector<int32_t>>& planes, const scenepress::TableSet& set,
             const Bytes& contexts, bool is_signed, int ways) {
  const size_t n = contexts.size();
  std::vector<Bytes> tokens(planes.size(), Bytes(n)), lengths(planes.size(), Bytes(n));
  std::vector<std::vector<uint32_t>> raw(planes.size(), std::vector<uint32_t>(n));
  std::vector<RansPlane> inputs;
  for (size_t p = 0; p < planes.size(); ++p) {
    require(scenepress::tokenize(planes[p].data(), n, is_signed, tokens[p].data(), raw[p].data(),
                                 lengths[p].data()) == n);
    inputs.push_back({tokens[p].data(), contexts.data(), n, set.context_map, &set.frequencies[0][0],
                      static_cast<size_t>(set.tables), raw[p].data(), lengths[p].data(), n});
  }
  return scenepress::rans_encode(inputs, ways);
}

std::unique_ptr<scenepress::TableSet> parse(const uint8_t* data, size_t size, size_t* offset) {
  auto set = std::make_unique<scenepress::TableSet>();
  if (scenepress::parse_table_set(data, size, offset, set.get())) return nullptr;
  for (int t = 0; t < set->tables; ++t) {
    uint32_t sum = 0;
    for (uint16_t frequency : set->frequencies[t]) sum += frequency;
    require(sum == scenepress::kRansSlots);
  }
  require(*offset <= size);
  return set;
}

RansTables expand(const scenepress::TableSet& set) {
  return RansTables(&set.frequencies[0][0], static_cast<size_t>(set.tables), set.context_map,
                    static_cast<size_t>(set.contexts));
}

void decode_anything(const uint8_t* data, size_t size, size_t count, size_t planes, bool is_signed) {
  size_t offset = 0;
  const auto set = parse(data, size, &offset);
  if (!set) return;
  Bytes contexts(count);
  for (size_t i = 0; i < count; ++i) contexts[i] = static_cast<uint8_t>(i % static_cast<size_t>(set->contexts));
  const Decoded decoded = decode_alike(data + offset, size - offset, expand(*set), contexts, planes, is_signed);
  if (!decoded.finished) return;
  const Bytes again = encode(decoded.values, *set, contexts, is_signed, 1 << data[offset]);
  require(again == Bytes(data + offset, data + size));
}

void round_trip(const uint8_t* data, size_t size, size_t damage) {
  const size_t n = size / 5;  // a context and a value each
  constexpr size_t kContexts = 7;
  std::vector<int32_t> values(n);
  Bytes contexts(n), tokens(n), lengths(n);
  std::vector<uint32_t> raw(n);
  std::vector<int64_t> counts(kContexts * 256);
  for (size_t i = 0; i < n; ++i) {
    contexts[i] = data[5 * i] % kContexts;
    std::memcpy(&values[i], data + 5 * i + 1, 4);
    values[i] >>= 7 + data[5 * i] / kContexts % 25;
  }
  require(scenepress::tokenize(values.data(), n, true, tokens.data(), raw.data(), lengths.data()) == n);
  require(scenepress::count_symbols(tokens.data(), contexts.data(), n, kContexts, counts.data()));
  const Bytes fitted = scenepress::fit_table_set(counts.data(), kContexts);
  size_t offset = 0;
  const auto set = parse(fitted.data(), fitted.size(), &offset);
  require(set && offset == fitted.size());
  Bytes payload = encode({values}, *set, contexts, true, 1 << damage % 6);
  const RansTables tables = expand(*set);
  const Decoded decoded = decode_alike(payload.data(), payload.size(), tables, contexts, 1, true);
  require(decoded.finished && decoded.values[0] == values);
  payload[damage % payload.size()] ^= static_cast<uint8_t>(1 << damage % 8);
  decode_alike(payload.data(), payload.size(), tables, contexts, 1, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const size_t count = std::min<size_t>(data[1] | data[2] << 8, 5000);
  if (data[0] % 2)
    round_trip(data + 4, size - 4, count + 5001u * data[3]);
  else
    decode_anything(data + 4, size - 4, count, data[3] % 4u, data[0] & 2);
  return 0;
}
