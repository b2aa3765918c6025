#include "cpu/binary_coder.h"

#include <nanobind/stl/pair.h>

#include <stdexcept>

#include "bindings/arrays.h"

namespace nb = nanobind;
using scenepress::Input1;
using scenepress::new_array;
using scenepress::without_gil;

void bind_binary_coder(nb::module_& m) {
  m.def("encode_bits", [](Input1<uint8_t> bits, Input1<uint8_t> contexts) {
    if (bits.size() != contexts.size()) throw std::invalid_argument("bits and contexts differ in length");
    const auto payload =
        without_gil([&] { return scenepress::encode_bits_cpu(bits.data(), contexts.data(), bits.size()); });
    return nb::bytes(payload.data(), payload.size());
  });
  m.def("decode_bits", [](nb::bytes payload, Input1<uint8_t> contexts) {
    auto bits = new_array<uint8_t>({contexts.size()});
    const auto* data = static_cast<const uint8_t*>(payload.data());
    const bool exact = without_gil([&] {
      return scenepress::decode_bits_cpu(data, payload.size(), contexts.data(), bits.data(), contexts.size());
    });
    return std::pair(bits, exact);
  });
}
