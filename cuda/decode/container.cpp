#include "decode/container.h"

#include <algorithm>
#include <cstring>

#include "cpu/crc32c.h"

namespace scenepress {
namespace {

constexpr uint8_t kMagic[8] = {0x8A, 'p', 'r', 'e', 's', 's', '\r', '\n'};
constexpr unsigned kMajor = 1;
constexpr size_t kChecksumAt = 28, kMinEntry = 10, kMaxEntry = 42;
constexpr uint64_t kMaxChunks = 1 << 20, kMaxPayload = uint64_t{1} << 40;
constexpr uint64_t kMaxLevel = 31, kMaxTile = (1 << 20) - 1, kMaxCount = (uint64_t{1} << 31) - 1;
constexpr uint64_t kFreeCount = 1 << 20, kCountPerByte = 64;
constexpr unsigned kReservedFlags = 0xFF00, kRequired = 0x01, kReservedChunkFlags = 0xF0;

bool levelled(uint8_t stage) { return stage >= kFirstLevelStage; }

std::string where(uint8_t stage, uint64_t level, uint64_t tile) {
  return "chunk " + describe(stage) + ", level " + std::to_string(level) + ", tile " + std::to_string(tile);
}

std::string where(const Entry& e) { return where(e.stage, e.level, e.tile); }

struct Header {
  uint64_t index_length, file_length, count;
};

Header read_header(Bytes file) {
  const size_t seen = std::min(file.size, sizeof kMagic);
  if (!seen || std::memcmp(file.data, kMagic, seen) != 0) {
    const bool text = file.size >= 6 && std::memcmp(file.data + 1, kMagic + 1, 5) == 0;
    refuse(std::string("not a .press file") + (text ? ": a transfer changed its line ends" : ""));
  }
  if (file.size < kHeaderLength)
    refuse("file cut short: " + std::to_string(file.size) + " bytes; the header has 32");
  ByteReader reader(file, sizeof kMagic);
  const auto major = reader.fixed(1), minor = reader.fixed(1), flags = reader.fixed(2);
  const uint64_t index_length = reader.fixed(4), file_length = reader.fixed(8), count = reader.fixed(4);
  if (major != kMajor)
    refuse("format " + std::to_string(major) + "." + std::to_string(minor) +
           " is not readable: this decoder reads 1.x");
  if (flags & kReservedFlags) refuse("reserved header flags are set");
  if (count > kMaxChunks) refuse("header claims " + std::to_string(count) + " chunks; the limit is 1048576");
  if (file_length < kHeaderLength + index_length)
    refuse("file length " + std::to_string(file_length) + " does not hold an index of " +
           std::to_string(index_length) + " bytes");
  if (index_length < kMinEntry * count)
    refuse(std::to_string(count) + " chunks do not fit into an index of " + std::to_string(index_length) +
           " bytes");
  if (index_length > kMaxEntry * count)  // Before anybody fetches it.
    refuse("an index of " + std::to_string(index_length) + " bytes is too long for " + std::to_string(count) +
           " chunks");
  return {index_length, file_length, count};
}

void check_field(const std::string& place, const char* name, uint64_t value, uint64_t limit) {
  if (value > limit)
    refuse(place + ": " + name + " " + std::to_string(value) + " is not in 0.." + std::to_string(limit));
}

Entry read_entry(ByteReader& reader, uint64_t number, uint64_t offset) {
  Entry e{};
  e.stage = static_cast<uint8_t>(reader.fixed(1));
  const auto flags = reader.fixed(1);
  const uint64_t level = reader.varint(), tile = reader.varint(), count = reader.varint(),
                 length = reader.varint();
  e.crc = static_cast<uint32_t>(reader.fixed(4));
  if (flags & kReservedChunkFlags)
    refuse("chunk index entry " + std::to_string(number) + ": reserved flags are set");
  const std::string place = where(e.stage, level, tile);
  if (!e.stage) refuse(place + ": stage ids are 0x01 to 0xFF");
  check_field(place, "level", level, kMaxLevel);
  check_field(place, "tile", tile, kMaxTile);
  check_field(place, "count", count, kMaxCount);
  check_field(place, "length", length, kMaxPayload);
  e.level = static_cast<uint8_t>(level);
  e.tile = static_cast<uint32_t>(tile);
  e.count = static_cast<uint32_t>(count);
  e.offset = offset;
  e.length = length;
  e.required = flags & kRequired;
  return e;
}

// Whether a comes before b in a file: what holds for the whole scene, then level by level, tile by tile.
bool before(const Entry& a, const Entry& b) {
  if (levelled(a.stage) != levelled(b.stage)) return !levelled(a.stage);
  if (!levelled(a.stage) && a.stage != b.stage) return a.stage < b.stage;
  if (a.level != b.level) return a.level < b.level;
  if (a.tile != b.tile) return a.tile < b.tile;
  return a.stage < b.stage;
}

void check_all(const Index& index) {
  uint64_t totals[256] = {};
  for (size_t i = 0; i < index.entries.size(); ++i) {
    const Entry& e = index.entries[i];
    totals[e.stage] += e.count;
    if (i && !before(index.entries[i - 1], e))
      refuse(where(e) + " comes after " + where(index.entries[i - 1]) + ": twice, or in the wrong order");
    if (e.required && !is_known(e.stage))
      refuse(describe(e.stage) + " is required and not known to this decoder: a newer one may read the file");
  }
  const uint64_t most = *std::max_element(totals, totals + 256);
  if (most > kFreeCount + kCountPerByte * index.file_length)
    refuse("chunks claim " + std::to_string(most) + " elements in a file of " + std::to_string(index.file_length) +
           " bytes");
}

}  // namespace

std::string describe(uint8_t stage) {
  static constexpr const char* kWhole[] = {"metadata", "tiles", "splat parameters"};
  static constexpr const char* kLevel[] = {"order",    "position", "opacity", "scale",
                                           "rotation", "colour",   "sh",      "position refinement"};
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const std::string id = std::string(" (0x") + kDigits[stage >> 4] + kDigits[stage & 15] + ")";
  if (stage >= kMetadata && stage <= kSplatParameters) return kWhole[stage - kMetadata] + id;
  if (stage >= kOrder && stage <= kPositionRefinement) return kLevel[stage - kOrder] + id;
  if (stage == kLossless) return "lossless" + id;
  return (stage >= 0x80 ? "private stage" : "unknown stage") + id;
}

bool is_known(uint8_t stage) {
  return (stage >= kMetadata && stage <= kSplatParameters) || (stage >= kOrder && stage <= kPositionRefinement) ||
         stage == kLossless;
}

uint64_t front_length(Bytes header) { return kHeaderLength + read_header(header).index_length; }

Index read_index(Bytes file) {
  const Header header = read_header(file);
  const uint64_t end = kHeaderLength + header.index_length;
  if (file.size < end)
    refuse("file cut short inside the chunk index: " + std::to_string(file.size) + " of " + std::to_string(end) +
           " bytes");
  const auto index_length = static_cast<size_t>(header.index_length);
  const uint32_t stored = static_cast<uint32_t>(ByteReader(file, kChecksumAt).fixed(4));
  if (crc32c(file.data + kHeaderLength, index_length, crc32c(file.data, kChecksumAt, 0)) != stored)
    refuse("header or chunk index damaged: their checksum differs");
  Index index;
  index.file_length = header.file_length;
  index.entries.reserve(static_cast<size_t>(header.count));
  ByteReader reader({file.data + kHeaderLength, index_length});
  uint64_t offset = end;
  for (uint64_t i = 0; i < header.count; ++i) {
    index.entries.push_back(read_entry(reader, i, offset));
    offset += index.entries.back().length;
  }
  if (reader.left()) refuse("bytes follow the last entry of the chunk index");
  if (offset != header.file_length)
    refuse("chunks end at byte " + std::to_string(offset) + ", the file at " + std::to_string(header.file_length));
  check_all(index);
  return index;
}

int complete_levels(const Index& index, uint64_t available) {
  int levels = 0;
  for (const Entry& e : index.entries) {
    if (e.offset + e.length > available) {
      if (!levelled(e.stage)) refuse("file cut short before the end of " + where(e));
      return e.level;
    }
    if (levelled(e.stage)) levels = std::max(levels, e.level + 1);
  }
  return levels;
}

void check_payload(const Entry& entry, Bytes payload) {
  if (payload.size != entry.length)
    refuse(where(entry) + ": " + std::to_string(payload.size) + " of " + std::to_string(entry.length) + " bytes");
  if (crc32c(payload.data, payload.size, 0) != entry.crc)
    refuse(where(entry) + ": checksum differs, so the payload is damaged");
}

}  // namespace scenepress
