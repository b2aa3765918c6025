// The front of a `.press` file: header and chunk index. docs/spec/container.md; the twin of container.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "decode/bytes.h"

namespace scenepress {

enum Stage : uint8_t {
  kMetadata = 0x01,
  kTiles = 0x02,
  kSplatParameters = 0x03,
  kOrder = 0x10,
  kPosition = 0x11,
  kOpacity = 0x12,
  kScale = 0x13,
  kRotation = 0x14,
  kColour = 0x15,
  kSh = 0x16,
  kPositionRefinement = 0x17,
  kLossless = 0x1F,
};
constexpr uint8_t kFirstLevelStage = 0x10;
constexpr size_t kHeaderLength = 32;

struct Entry {
  uint64_t offset, length;
  uint32_t tile, count, crc;
  uint8_t stage, level;
  bool required;
};

struct Index {
  uint64_t file_length = 0;
  std::vector<Entry> entries;  // all chunks, in the order of the file
};

// Name and id, as messages say them.
std::string describe(uint8_t stage);
bool is_known(uint8_t stage);

// Bytes of header and index, from the header; checks all of the header but its checksum.
uint64_t front_length(Bytes header);

// Checks header and index; the bytes may end anywhere after them.
Index read_index(Bytes file);

// Levels that the first `available` bytes hold whole; refuses files cut inside what holds for the whole scene.
int complete_levels(const Index& index, uint64_t available);

// Refuses a payload whose checksum is not that of the index.
void check_payload(const Entry& entry, Bytes payload);

}  // namespace scenepress
