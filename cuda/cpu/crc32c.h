// CRC-32C (Castagnoli polynomial, reflected): docs/spec/container.md, section 5.
#pragma once

#include <cstddef>
#include <cstdint>

namespace scenepress {

// The checksum of `size` bytes, or of what `start` is the checksum of followed by them. Picks the CRC
// instruction of the machine where there is one.
uint32_t crc32c(const uint8_t* data, size_t size, uint32_t start);

// The same from tables.
uint32_t crc32c_portable(const uint8_t* data, size_t size, uint32_t start);

#if defined(__x86_64__)
// The same with the SSE4.2 instruction; call only where has_avx2(), which implies it.
uint32_t crc32c_sse42(const uint8_t* data, size_t size, uint32_t start);
#endif

}  // namespace scenepress
