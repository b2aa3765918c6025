#if defined(__x86_64__)
#include <nmmintrin.h>

#include <cstring>

#include "cpu/crc32c.h"

namespace scenepress {

uint32_t crc32c_sse42(const uint8_t* data, size_t size, uint32_t start) {
  uint64_t crc = static_cast<uint32_t>(~start);
  for (; size >= 8; data += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; size; ++data, --size) crc = _mm_crc32_u8(static_cast<uint32_t>(crc), *data);
  return ~static_cast<uint32_t>(crc);
}

}  // namespace scenepress
#endif
