#include "cpu/binary_coder.h"

#include "core/binary_coder.h"

namespace scenepress {

std::vector<uint8_t> encode_bits_cpu(const uint8_t* bits, const uint8_t* contexts, size_t n) {
  std::vector<uint8_t> payload(2 * n + 16);  // A bit costs at most 11 bits: its probability is 32/65536 or more.
  AdaptiveBit states[256];
  BinaryEncoder coder(payload.data(), payload.size());
  for (size_t i = 0; i < n; ++i) coder.encode(bits[i] != 0, states[contexts[i]]);
  coder.finish();
  payload.resize(coder.size);
  return payload;
}

bool decode_bits_cpu(const uint8_t* payload, size_t size, const uint8_t* contexts, uint8_t* bits, size_t n) {
  AdaptiveBit states[256];
  BinaryDecoder coder(payload, size);
  for (size_t i = 0; i < n; ++i) {
    if (coder.exhausted()) return false;
    bits[i] = uint8_t(coder.decode(states[contexts[i]]));
  }
  return coder.finished();
}

}  // namespace scenepress
