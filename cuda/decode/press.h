// A `.press` file of splats whose bytes arrive in pieces: the front, what holds for the whole scene, and then the
// levels of its tiles. The twin of codecs/splats.py and
// codecs/lossless.py; metadata is JSON, and read by the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "decode/container.h"
#include "decode/splats.h"

namespace scenepress {

// One level of one tile: its chunks lie together in the file.
struct Place {
  uint64_t offset, length;
  uint32_t level, tile, count;
  uint32_t first_entry, entries;  // of the index
};

class Press {
 public:
  // front: the file as far as its chunk index goes, or more. model: of the learned context model.
  Press(Bytes front, Bytes model);

  const Index& index() const { return index_; }
  // Levels of tiles, in the order of the file: coarse to fine. A lossless file has one level.
  const std::vector<Place>& places() const { return places_; }
  // Where the chunks of the whole scene lie.
  uint64_t whole_offset() const { return whole_offset_; }
  uint64_t whole_length() const { return whole_length_; }

  // The payload of the metadata, JSON, in the bytes of all chunks of the whole scene. Checks every checksum.
  Bytes metadata(Bytes whole) const;

  // Reads the same bytes; count, SH degree and codec are those of the metadata. Then there are places.
  void begin(Bytes whole, uint32_t count, int sh_degree, bool lossless);

  int sh_count() const { return sh_count_; }
  bool keeps_order() const { return parameters_ && parameters_->kept_order; }
  // log2 of the unit of tiles in scene units
  int exponent() const { return parameters_ ? parameters_->exponent : 0; }
  // Boxes of the tiles; none are known of a lossless file.
  const std::vector<TileBox>& tiles() const { return tiles_; }

  // Decodes a place from its bytes. The levels of a tile come in their order.
  void decode(size_t place, Bytes bytes, const SplatArrays& out);

 private:
  Bytes whole_chunk(Bytes whole, uint8_t stage, uint32_t* count) const;
  void check_places(uint32_t count) const;
  void begin_lossless(uint32_t count);
  void decode_splats(const Place& place, Bytes bytes, const SplatArrays& out);

  Index index_;
  ContextModel model_;
  uint64_t whole_offset_ = 0, whole_length_ = 0;
  size_t whole_entries_ = 0;
  int sh_count_ = 0;
  bool begun_ = false, lossless_ = false;
  std::vector<Place> places_;
  std::unique_ptr<SplatParameters> parameters_;
  std::vector<TileBox> tiles_;
  std::vector<std::unique_ptr<TileDecoder>> decoders_;  // by tile
  std::vector<uint32_t> next_;                          // by tile: levels decoded
  std::vector<bool> taken_;                             // by source index, if the file keeps them
  uint32_t kept_ = 0;
};

}  // namespace scenepress
