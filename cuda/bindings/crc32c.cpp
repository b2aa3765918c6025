#include "cpu/crc32c.h"

#include "bindings/arrays.h"

namespace nb = nanobind;
using scenepress::Input1;
using scenepress::without_gil;

void bind_crc32c(nb::module_& m) {
  m.def("crc32c", [](Input1<uint8_t> data, uint32_t start) {
    return without_gil([&] { return scenepress::crc32c(data.data(), data.size(), start); });
  });
  m.def("crc32c_portable", [](Input1<uint8_t> data, uint32_t start) {
    return without_gil([&] { return scenepress::crc32c_portable(data.data(), data.size(), start); });
  });
}
