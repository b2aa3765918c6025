// Entropy coding: tokens, table sets, rANS payloads. Bound twice: as is, and in the submodule `portable`.
#include "cpu/rans.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "bindings/arrays.h"
#include "core/table_set.h"
#include "core/tokens.h"

namespace scenepress {
namespace {

using Bytes = Input1<uint8_t>;
using Frequencies = nb::ndarray<const uint16_t, nb::shape<-1, kRansSymbols>, nb::c_contig, nb::device::cpu>;
using PlaneArrays = std::tuple<Bytes, Bytes, Bytes, Frequencies, Input1<uint32_t>, Bytes>;

auto tokenize(Input1<int32_t> values, bool is_signed) {
  const size_t n = values.shape(0);
  auto tokens = new_array<uint8_t>({n});
  auto raw = new_array<uint32_t>({n});
  auto lengths = new_array<uint8_t>({n});
  const size_t first_invalid = without_gil([&] {
    size_t first = n;
    for (size_t i = 0; i < n; ++i) {
      uint32_t magnitude = is_signed ? zigzag(values.data()[i]) : static_cast<uint32_t>(values.data()[i]);
      if (magnitude >= kMagnitudes) {
        first = std::min(first, i);
        magnitude = 0;
      }
      const uint32_t token = token_of(magnitude);
      tokens.data()[i] = static_cast<uint8_t>(token);
      raw.data()[i] = magnitude - token_base(token);
      lengths.data()[i] = static_cast<uint8_t>(token_raw_length(token));
    }
    return first;
  });
  return std::tuple(tokens, raw, lengths, first_invalid);
}

auto detokenize(Bytes tokens, Input1<uint32_t> raw, bool is_signed) {
  const size_t n = std::min(tokens.shape(0), raw.shape(0));
  auto values = new_array<int32_t>({n});
  without_gil([&] {
    for (size_t i = 0; i < n; ++i) {
      const uint32_t magnitude = token_base(tokens.data()[i] % uint32_t(kTokens)) + raw.data()[i];
      values.data()[i] = is_signed ? unzigzag(magnitude) : static_cast<int32_t>(magnitude);
    }
  });
  return values;
}

auto histogram(Bytes tokens, Bytes contexts, size_t count) {
  auto counts = new_array<int64_t>({count, size_t(kRansSymbols)});
  const size_t n = std::min(tokens.shape(0), contexts.shape(0));
  without_gil([&] {
    std::fill_n(counts.data(), count * kRansSymbols, 0);
    for (size_t i = 0; i < n; ++i)
      if (contexts.data()[i] < count)
        ++counts.data()[contexts.data()[i] * size_t(kRansSymbols) + tokens.data()[i]];
  });
  return counts;
}

auto parse_set(nb::bytes data, size_t offset) {
  const auto set = std::make_unique<TableSet>();
  const char* error = offset > data.size() ? "table set: the data ends inside it"
                                           : parse_table_set(static_cast<const uint8_t*>(data.data()), data.size(),
                                                             &offset, set.get());
  if (error) throw std::invalid_argument(error);
  auto map = new_array<uint8_t>({static_cast<size_t>(set->contexts)});
  std::copy_n(set->context_map, set->contexts, map.data());
  auto frequencies = new_array<uint16_t>({static_cast<size_t>(set->tables), size_t(kRansSymbols)});
  std::copy_n(&set->frequencies[0][0], static_cast<size_t>(set->tables) * kRansSymbols, frequencies.data());
  return std::tuple(map, frequencies, offset);
}

// Memory safety only: the messages for users come from the stage.
void check_tables(const Bytes& map, const Frequencies& frequencies) {
  if (map.shape(0) > kMaxContexts || frequencies.shape(0) > kMaxTables || frequencies.shape(0) < 1)
    throw std::invalid_argument("table set: too many or too few contexts or tables");
  for (size_t i = 0; i < map.shape(0); ++i)
    if (map.data()[i] >= frequencies.shape(0)) throw std::invalid_argument("table set: no such table");
  for (size_t t = 0; t < frequencies.shape(0); ++t) {
    uint32_t sum = 0;
    for (int s = 0; s < kRansSymbols; ++s) sum += frequencies.data()[t * kRansSymbols + static_cast<size_t>(s)];
    if (sum != kRansSlots) throw std::invalid_argument("table set: frequencies do not sum to 4096");
  }
}

nb::bytes encode(const std::vector<PlaneArrays>& planes, int ways) {
  std::vector<RansPlane> inputs;
  for (const auto& [tokens, contexts, map, frequencies, raw, lengths] : planes) {
    check_tables(map, frequencies);
    const size_t n = tokens.shape(0);
    if (contexts.shape(0) != n || raw.shape(0) != lengths.shape(0))
      throw std::invalid_argument("a plane's arrays differ in length");
    for (size_t i = 0; i < n; ++i)
      if (contexts.data()[i] >= map.shape(0)) throw std::invalid_argument("a context has no table");
    for (size_t i = 0; i < raw.shape(0); ++i)
      if (lengths.data()[i] > 23 || raw.data()[i] >> lengths.data()[i])
        throw std::invalid_argument("a raw value is longer than its length");
    inputs.push_back({tokens.data(), contexts.data(), n, map.data(), frequencies.data(), frequencies.shape(0),
                      raw.data(), lengths.data(), raw.shape(0)});
  }
  const std::vector<uint8_t> out = without_gil([&] { return rans_encode(inputs, ways); });
  return nb::bytes(out.data(), out.size());
}

Array<uint8_t> decode_plane(RansDecoder& decoder, Frequencies frequencies, Bytes map, Bytes contexts) {
  check_tables(map, frequencies);
  auto tokens = new_array<uint8_t>({contexts.shape(0)});
  without_gil([&] {
    decoder.plane(frequencies.data(), frequencies.shape(0), map.data(), map.shape(0), contexts.data(),
                  contexts.shape(0), tokens.data());
  });
  return tokens;
}

Array<int32_t> decode_values(RansDecoder& decoder, Frequencies frequencies, Bytes map, Bytes contexts,
                             bool is_signed) {
  check_tables(map, frequencies);
  auto values = new_array<int32_t>({contexts.shape(0)});
  without_gil([&] {
    decoder.values(frequencies.data(), frequencies.shape(0), map.data(), map.shape(0), contexts.data(),
                   contexts.shape(0), is_signed, values.data());
  });
  return values;
}

void bind_functions(nb::module_& m, bool portable) {
  m.def("tokenize", &tokenize);
  m.def("detokenize", &detokenize);
  m.def("histogram", &histogram);
  m.def("parse_table_set", &parse_set);
  m.def("rans_encode", &encode);
  m.def("rans_decoder", [portable](nb::bytes payload) {
    // A plain pointer: nanobind takes ownership.
    return new RansDecoder(static_cast<const uint8_t*>(payload.data()), payload.size(), portable);
  });
}

}  // namespace
}  // namespace scenepress

void bind_rans(scenepress::nb::module_& m) {
  using namespace scenepress;
  nb::class_<RansDecoder>(m, "RansDecoder")
      .def("plane", &decode_plane)
      .def("values", &decode_values)
      .def("finish", &RansDecoder::finish);
  bind_functions(m, false);
  nb::module_ portable = nb::hasattr(m, "portable") ? nb::cast<nb::module_>(m.attr("portable"))
                                                    : m.def_submodule("portable", "The same in plain C++.");
  bind_functions(portable, true);
}
