// Entropy coding: tokens, table sets, rANS payloads. Bound twice: as is, and in the submodule `portable`.
#include "cpu/rans.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "bindings/arrays.h"
#include "core/table_set.h"
#include "core/tokens.h"
#include "cpu/table_fit.h"
#include "cpu/tokens.h"

namespace scenepress {
namespace {

using Bytes = Input1<uint8_t>;
using Frequencies = nb::ndarray<const uint16_t, nb::shape<-1, kRansSymbols>, nb::c_contig, nb::device::cpu>;
using PlaneArrays = std::tuple<Bytes, Bytes, Bytes, Frequencies, Input1<uint32_t>, Bytes>;

auto tokenize_array(Input1<int32_t> values, bool is_signed) {
  const size_t n = values.shape(0);
  auto tokens = new_array<uint8_t>({n});
  auto raw = new_array<uint32_t>({n});
  auto lengths = new_array<uint8_t>({n});
  const size_t first_invalid = without_gil(
      [&] { return tokenize(values.data(), n, is_signed, tokens.data(), raw.data(), lengths.data()); });
  return std::tuple(tokens, raw, lengths, first_invalid);
}

auto detokenize_arrays(Bytes tokens, Input1<uint32_t> raw, bool is_signed) {
  const size_t n = std::min(tokens.shape(0), raw.shape(0));
  auto values = new_array<int32_t>({n});
  without_gil([&] { detokenize(tokens.data(), raw.data(), n, is_signed, values.data()); });
  return values;
}

auto histogram(Bytes tokens, Bytes contexts, size_t count) {
  auto counts = new_array<int64_t>({count, size_t(kRansSymbols)});
  const size_t n = std::min(tokens.shape(0), contexts.shape(0));
  if (!without_gil([&] { return count_symbols(tokens.data(), contexts.data(), n, count, counts.data()); }))
    throw nb::index_error("a context is too large");
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

nb::bytes fit_set(Input2<int64_t> counts) {
  if (counts.shape(0) < 1 || counts.shape(0) > size_t(kMaxContexts) || counts.shape(1) != size_t(kRansSymbols))
    throw std::invalid_argument("counts must be [1 to 255, 256]");
  const auto set = without_gil([&] { return fit_table_set(counts.data(), counts.shape(0)); });
  return nb::bytes(set.data(), set.size());
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
    if (n && highest(contexts.data(), n) >= map.shape(0)) throw std::invalid_argument("a context has no table");
    inputs.push_back({tokens.data(), contexts.data(), n, map.data(), frequencies.data(), frequencies.shape(0),
                      raw.data(), lengths.data(), raw.shape(0)});
  }
  const std::vector<uint8_t> out = without_gil([&] { return rans_encode(inputs, ways); });
  return nb::bytes(out.data(), out.size());
}

std::unique_ptr<RansTables> make_tables(Frequencies frequencies, Bytes map) {
  check_tables(map, frequencies);
  return std::make_unique<RansTables>(frequencies.data(), frequencies.shape(0), map.data(), map.shape(0));
}

void check_contexts(const RansTables& tables, const Bytes& contexts) {
  const size_t n = contexts.shape(0);
  if (n && highest(contexts.data(), n) >= tables.contexts)
    throw nb::index_error("a context is not in the table set");
}

Array<uint8_t> decode_plane(RansDecoder& decoder, const RansTables& tables, Bytes contexts) {
  auto tokens = new_array<uint8_t>({contexts.shape(0)});
  without_gil([&] {
    check_contexts(tables, contexts);
    decoder.plane(tables, contexts.data(), contexts.shape(0), tokens.data());
  });
  return tokens;
}

Array<int32_t> decode_values(RansDecoder& decoder, const RansTables& tables, Bytes contexts, bool is_signed) {
  auto values = new_array<int32_t>({contexts.shape(0)});
  without_gil([&] {
    check_contexts(tables, contexts);
    decoder.values(tables, contexts.data(), contexts.shape(0), is_signed, values.data());
  });
  return values;
}

void bind_functions(nb::module_& m, bool portable) {
  m.def("tokenize", &tokenize_array);
  m.def("detokenize", &detokenize_arrays);
  m.def("histogram", &histogram);
  m.def("parse_table_set", &parse_set);
  m.def("fit_table_set", &fit_set);
  m.def("rans_encode", &encode);
  m.def("rans_tables", &make_tables);
  m.def("rans_decoder", [portable](nb::bytes payload) {
    return std::make_unique<RansDecoder>(static_cast<const uint8_t*>(payload.data()), payload.size(), portable);
  });
}

}  // namespace
}  // namespace scenepress

void bind_rans(scenepress::nb::module_& m) {
  using namespace scenepress;
  nb::class_<RansTables>(m, "RansTables");
  nb::class_<RansDecoder>(m, "RansDecoder")
      .def("plane", &decode_plane)
      .def("values", &decode_values)
      .def("finish", &RansDecoder::finish);
  bind_functions(m, false);
  nb::module_ portable = nb::hasattr(m, "portable") ? nb::cast<nb::module_>(m.attr("portable"))
                                                    : m.def_submodule("portable", "The same in plain C++.");
  bind_functions(portable, true);
}
