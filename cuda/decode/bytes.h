// Bytes that somebody else owns, and a reader of the integers in them: docs/spec/container.md, section 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "cpu/refuse.h"

namespace scenepress {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  Bytes from(size_t at) const { return {data + at, size - at}; }
};

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes, size_t at = 0) : bytes_(bytes), at_(at) {}

  // LEB128 in its shortest form, of at most 9 bytes.
  uint64_t varint() {
    uint64_t value = 0;
    for (size_t i = 0; i < 9 && at_ + i < bytes_.size; ++i) {
      const uint8_t byte = bytes_.data[at_ + i];
      value |= uint64_t(byte & 127) << (7 * i);
      if (byte >= 128) continue;
      if (i && !byte) refuse("integer at byte " + std::to_string(at_) + " is not in its shortest form");
      at_ += i + 1;
      return value;
    }
    refuse("integer at byte " + std::to_string(at_) + " has no end");
  }

  // Zigzag: 0, -1, 1, -2, ...
  int64_t signed_varint() {
    const uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }

  // `size` bytes, lowest first; at most 8.
  uint64_t fixed(size_t size) {
    if (size > left()) refuse("the bytes end at " + std::to_string(bytes_.size) + ", inside a number");
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes_.data[at_ + i]} << (8 * i);
    at_ += size;
    return value;
  }

  Bytes rest() const { return bytes_.from(at_); }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size - at_; }
  void skip(size_t count) { at_ += count; }

 private:
  Bytes bytes_;
  size_t at_;
};

}  // namespace scenepress
