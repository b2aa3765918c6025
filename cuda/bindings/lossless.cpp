#include "cpu/lossless.h"

#include <nanobind/stl/pair.h>

#include <stdexcept>
#include <utility>

#include "bindings/arrays.h"

namespace nb = nanobind;
using scenepress::Array;
using scenepress::Input1;
using scenepress::new_array;
using scenepress::without_gil;

static void check_lengths(const Input1<uint8_t>& lengths) {
  for (size_t i = 0; i < lengths.size(); ++i)
    if (lengths.data()[i] > 32) throw std::invalid_argument("a length exceeds 32 bits");
}

static Array<uint8_t> assign(Input1<uint32_t> words, Input1<uint32_t> bases, size_t leaves) {
  if (bases.size() > 256 || leaves > bases.size()) throw std::invalid_argument("at most 256 tokens");
  auto tokens = new_array<uint8_t>({words.size()});
  without_gil([&] {
    scenepress::assign_tokens(words.data(), words.size(), bases.data(), leaves, bases.size() - leaves,
                              tokens.data());
  });
  return tokens;
}

static Array<uint8_t> pack_bits(Input1<uint32_t> values, Input1<uint8_t> lengths) {
  if (values.size() != lengths.size()) throw std::invalid_argument("values and lengths differ in size");
  check_lengths(lengths);
  auto out = new_array<uint8_t>({scenepress::packed_size(lengths.data(), lengths.size())});
  without_gil([&] { scenepress::pack_bits(values.data(), lengths.data(), values.size(), out.data()); });
  return out;
}

static std::pair<Array<uint32_t>, uint64_t> expand(Input1<uint8_t> tokens, Input1<uint32_t> bases,
                                                   Input1<uint8_t> lengths, Input1<uint8_t> data, uint64_t start) {
  if (bases.size() != 256 || lengths.size() != 256)
    throw std::invalid_argument("bases and lengths have 256 entries");
  check_lengths(lengths);
  auto words = new_array<uint32_t>({tokens.size()});
  const uint64_t end = without_gil([&] {
    return scenepress::expand_words(tokens.data(), tokens.size(), bases.data(), lengths.data(), data.data(),
                                    data.size(), start, words.data());
  });
  if (end == scenepress::kPastEnd) throw std::invalid_argument("fewer raw bits than the tokens need");
  return {words, end};
}

void bind_lossless(nb::module_& m) {
  auto lossless = m.def_submodule("lossless");
  lossless.def("assign", &assign);
  lossless.def("pack_bits", &pack_bits);
  lossless.def("expand", &expand);
}
