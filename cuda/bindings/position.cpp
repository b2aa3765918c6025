// Python bindings of the position stage. No arithmetic, no messages: scenepress/stages/position.py has them.
#include "cpu/position.h"

#include <nanobind/stl/pair.h>

#include "bindings/arrays.h"

using namespace scenepress;

void bind_position(nb::module_& m) {
  m.def("encode_positions", [](Input1<uint64_t> codes, Input1<uint64_t> coarse, int bits) {
    const auto payload = without_gil(
        [&] { return encode_positions_cpu(codes.data(), codes.shape(0), coarse.data(), coarse.shape(0), bits); });
    return nb::bytes(payload.data(), payload.size());
  });
  m.def("decode_positions", [](nb::bytes payload, size_t count, Input1<uint64_t> coarse, int bits) {
    auto codes = new_array<uint64_t>({count});
    const auto* data = static_cast<const uint8_t*>(payload.data());
    const PositionResult result = without_gil([&] {
      return decode_positions_cpu(data, payload.size(), codes.data(), count, coarse.data(), coarse.shape(0), bits);
    });
    return std::pair(codes, static_cast<int>(result));
  });
  m.def("morton_codes", [](Input2<uint32_t> xyz) {
    auto codes = new_array<uint64_t>({xyz.shape(0)});
    without_gil([&] { morton_codes_cpu(xyz.data(), codes.data(), xyz.shape(0)); });
    return codes;
  });
  m.def("morton_cells", [](Input1<uint64_t> codes) {
    auto xyz = new_array<uint32_t>({codes.shape(0), 3});
    without_gil([&] { morton_cells_cpu(codes.data(), xyz.data(), codes.shape(0)); });
    return xyz;
  });
}
