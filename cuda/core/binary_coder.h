// Adaptive binary range coder: docs/spec/binary_coder.md. Normative twin: kernels/reference_binary_coder.py.
//
// 64-bit interval, 32-bit words, carries propagated into the bytes already written; probabilities of
// 16 bits that mix two adaptation rates. Nothing here allocates: callers own every buffer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/host_device.h"

namespace scenepress {

constexpr uint32_t kBinaryFastRate = 1024;  // The fast estimate ends at moving by 1/64,
constexpr uint32_t kBinarySlowRate = 256;   // the slow one by 1/256.
constexpr uint32_t kBinaryMinProbability = 32;

// The probability that the next bit is 1, in 1/65536, learnt at two speeds.
struct AdaptiveBit {
  uint16_t fast = 32768;
  uint16_t slow = 32768;
  uint16_t rate = 32768;  // In 1/65536. The first bits move the estimates most: 1/2, 1/4, 3/16, ...
};

SP_HOST_DEVICE inline uint32_t probability_of_one(const AdaptiveBit& state) {
  const uint32_t p = (uint32_t(state.fast) + state.slow) >> 1;
  if (p < kBinaryMinProbability) return kBinaryMinProbability;
  return p > 65536 - kBinaryMinProbability ? 65536 - kBinaryMinProbability : p;
}

SP_HOST_DEVICE inline void learn(AdaptiveBit& state, uint32_t bit) {
  const uint32_t slow_rate = state.rate;
  const uint32_t fast_rate = slow_rate > kBinaryFastRate ? slow_rate : kBinaryFastRate;
  // With ones = 65535 if bit is 1, else 0: (p ^ ones) is the way left to go, and p moves by that much * rate.
  const uint32_t ones = (0u - bit) & 65535u;
  const uint32_t fast = state.fast ^ ones;
  const uint32_t slow = state.slow ^ ones;
  state.fast = uint16_t((fast - (fast * fast_rate >> 16)) ^ ones);
  state.slow = uint16_t((slow - (slow * slow_rate >> 16)) ^ ones);
  const uint32_t next_rate = slow_rate - (slow_rate * slow_rate >> 16);  // About 1/k -> 1/(k + 1).
  state.rate = uint16_t(next_rate > kBinarySlowRate ? next_rate : kBinarySlowRate);
}

// Writes into a buffer of the caller's; too small a buffer sets `overflow` and writes no more.
struct BinaryEncoder {
  uint8_t* out;
  size_t capacity;
  size_t size = 0;
  uint64_t low = 0;
  uint64_t range = ~uint64_t(0);
  bool overflow = false;

  SP_HOST_DEVICE BinaryEncoder(uint8_t* buffer, size_t bytes) : out(buffer), capacity(bytes) {}

  SP_HOST_DEVICE void carry() {
    for (size_t i = size; i > 0 && ++out[i - 1] == 0;) --i;
  }

  SP_HOST_DEVICE void put(uint32_t byte) {
    if (size < capacity)
      out[size++] = uint8_t(byte);
    else
      overflow = true;
  }

  SP_HOST_DEVICE void encode(uint32_t bit, uint32_t p_one) {
    const uint64_t bound = (range >> 16) * p_one;
    if (bit) {
      range = bound;
    } else {
      low += bound;
      if (low < bound) carry();
      range -= bound;
    }
    if (range >> 32) return;
    for (int shift = 56; shift >= 32; shift -= 8) put(uint32_t(low >> shift) & 255u);
    low <<= 32;
    range <<= 32;
  }

  SP_HOST_DEVICE void encode(uint32_t bit, AdaptiveBit& state) {
    encode(bit, probability_of_one(state));
    learn(state, bit);
  }

  // The fewest bytes whose value, followed by zeros, lies in the interval.
  SP_HOST_DEVICE void finish() {
    for (int bytes = 0; bytes <= 4; ++bytes) {
      const uint64_t step = bytes ? ~uint64_t(0) >> (8 * bytes) : ~uint64_t(0);
      const uint64_t value = (low + step) & ~step;  // Rounded up to a multiple of step + 1.
      if (value - low >= range) continue;           // Both modulo 2^64: the distance is what counts.
      if (value < low) carry();
      for (int i = 0; i < bytes; ++i) put(uint32_t(value >> (56 - 8 * i)) & 255u);
      return;
    }
  }
};

// Reads what BinaryEncoder wrote. Past the end it reads zeros; finished() tells whether the payload was exact.
struct BinaryDecoder {
  const uint8_t* data;
  size_t size;
  size_t next = 0;  // Of the word to read; may run past size.
  uint64_t value = 0;
  uint64_t range = ~uint64_t(0);
  bool broken = false;  // The first eight bytes are all ones: outside every interval.

  SP_HOST_DEVICE BinaryDecoder(const uint8_t* bytes, size_t count) : data(bytes), size(count) {
    value = uint64_t(word()) << 32;
    value |= word();
    broken = value == range;
  }

  SP_HOST_DEVICE uint32_t word() {
    uint32_t w = 0;
    for (size_t i = next; i < next + 4; ++i) w = w << 8 | (i < size ? data[i] : 0u);
    next += 4;
    return w;
  }

  // True if no valid stream can have led here: the caller should stop.
  SP_HOST_DEVICE bool exhausted() const { return broken || next > size + 8; }

  SP_HOST_DEVICE uint32_t decode(uint32_t p_one) {
    const uint64_t bound = (range >> 16) * p_one;
    const uint32_t bit = value < bound;
    const uint64_t zero = uint64_t(bit) - 1;  // All ones if bit is 0: no branch on what cannot be predicted.
    range = bound + (zero & (range - 2 * bound));
    value -= zero & bound;
    if (!(range >> 32)) {
      range <<= 32;
      value = value << 32 | word();
    }
    return bit;
  }

  SP_HOST_DEVICE uint32_t decode(AdaptiveBit& state) {
    const uint32_t bit = decode(probability_of_one(state));
    learn(state, bit);
    return bit;
  }

  // True if the bytes are exactly those that BinaryEncoder::finish() ends this stream with.
  SP_HOST_DEVICE bool finished() const {
    if (exhausted()) return false;
    uint64_t window = 0;
    for (size_t i = next - 8; i < next; ++i) window = window << 8 | (i < size ? data[i] : 0u);
    const uint64_t low = window - value;
    for (size_t bytes = 0; bytes <= 4; ++bytes) {
      const uint64_t step = bytes ? ~uint64_t(0) >> (8 * bytes) : ~uint64_t(0);
      const uint64_t shortest = (low + step) & ~step;
      if (shortest - low >= range) continue;
      return shortest == window && size == next - 8 + bytes;
    }
    return false;
  }
};

// A string of plain bits, least significant first, little-endian.
struct RawBitWriter {
  uint8_t* out;
  size_t capacity;
  size_t size = 0;
  uint64_t pending = 0;
  int pending_bits = 0;  // < 8 between calls.
  bool overflow = false;

  SP_HOST_DEVICE RawBitWriter(uint8_t* buffer, size_t bytes) : out(buffer), capacity(bytes) {}

  SP_HOST_DEVICE void flush_bytes(int least_bits) {
    for (; pending_bits >= least_bits && pending_bits > 0; pending_bits -= 8, pending >>= 8) {
      if (size < capacity)
        out[size++] = uint8_t(pending);
      else
        overflow = true;
    }
  }

  // bits <= 63, value < 2^bits.
  SP_HOST_DEVICE void put(uint64_t value, int bits) {
    for (; bits > 32; bits -= 32, value >>= 32) put32(value & 0xFFFFFFFFu, 32);
    put32(value, bits);
  }

  SP_HOST_DEVICE void put32(uint64_t value, int bits) {
    pending |= value << pending_bits;
    pending_bits += bits;
    flush_bytes(8);
  }

  SP_HOST_DEVICE void finish() {
    flush_bytes(1);
    pending_bits = 0;
  }
};

// Reads what RawBitWriter wrote. Past the end it reads zeros and finished() is false.
struct RawBitReader {
  const uint8_t* data;
  size_t size;
  uint64_t position = 0;  // In bits.

  SP_HOST_DEVICE RawBitReader(const uint8_t* bytes, size_t count) : data(bytes), size(count) {}

  // bits <= 63.
  SP_HOST_DEVICE uint64_t get(int bits) {
    uint64_t value = 0;
    int done = 0;
    for (; bits - done > 32; done += 32) value |= get32(32) << done;
    return value | get32(bits - done) << done;
  }

  SP_HOST_DEVICE uint64_t get32(int bits) {
    const size_t first = size_t(position >> 3);
    uint64_t window = 0;
    if (size >= 8 && first <= size - 8) {
      for (size_t i = 0; i < 8; ++i) window |= uint64_t(data[first + i]) << (8 * i);
    } else {
      for (size_t i = 0; i < 8; ++i) window |= uint64_t(first + i < size ? data[first + i] : 0u) << (8 * i);
    }
    const uint64_t value = window >> (position & 7) & ((uint64_t(1) << bits) - 1);
    position += uint64_t(bits);
    return value;
  }

  SP_HOST_DEVICE bool exhausted() const { return position > 8 * uint64_t(size); }

  // True if all bytes were used and the bits that fill the last one are zero.
  SP_HOST_DEVICE bool finished() const {
    return (position + 7) >> 3 == size && ((position & 7) == 0 || data[size - 1] >> (position & 7) == 0);
  }
};

}  // namespace scenepress
