#include "cpu/crc32c.h"

#include <array>

#include "cpu/cpu_features.h"

namespace scenepress {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: the effect of byte b followed by k zero bytes, so that eight bytes go in one step.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t value = b;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? kPolynomial : 0);
    tables[0][b] = value;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t b = 0; b < 256; ++b) tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xFF];
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c_portable(const uint8_t* data, size_t size, uint32_t start) {
  uint32_t crc = ~start;
  for (; size >= 8; data += 8, size -= 8) {
    uint32_t next = 0;
    for (size_t k = 0; k < 4; ++k) next ^= kTables[7 - k][(data[k] ^ crc >> 8 * k) & 0xFF];
    for (size_t k = 4; k < 8; ++k) next ^= kTables[7 - k][data[k]];
    crc = next;
  }
  for (; size; ++data, --size) crc = crc >> 8 ^ kTables[0][(crc ^ *data) & 0xFF];
  return ~crc;
}

uint32_t crc32c(const uint8_t* data, size_t size, uint32_t start) {
#if defined(__x86_64__)
  if (has_avx2()) return crc32c_sse42(data, size, start);
#endif
  return crc32c_portable(data, size, start);
}

}  // namespace scenepress
