#include "decode/press.h"

#include <algorithm>
#include <string>

#include "decode/lossless.h"

namespace scenepress {
namespace {

constexpr uint64_t kFreeCount = 1 << 20, kCountPerByte = 64;

std::string where(const Place& place) {
  return "level " + std::to_string(place.level) + ", tile " + std::to_string(place.tile);
}

// Levels of tiles whose chunks follow each other; each has all stages, or all but SH, of one count.
std::vector<Place> places_of(const std::vector<Entry>& entries, size_t first) {
  std::vector<Place> places;
  for (size_t i = first; i < entries.size(); ++i) {
    const Entry& e = entries[i];
    if (!is_known(e.stage) || e.stage == kLossless)
      refuse(describe(e.stage) + " chunk for level " + std::to_string(e.level) +
             ": not a part of a scene of splats");
    if (places.empty() || places.back().level != e.level || places.back().tile != e.tile)
      places.push_back({e.offset, 0, e.level, e.tile, e.count, static_cast<uint32_t>(i), 0});
    Place& place = places.back();
    if (!e.count || e.count != place.count)
      refuse(describe(e.stage) + " chunk for " + where(place) + ": " + std::to_string(e.count) +
             " splats, other chunks say otherwise");
    place.length += e.length;
    ++place.entries;
  }
  return places;
}

}  // namespace

Press::Press(Bytes front, Bytes model) : index_(read_index(front)), model_(model) {
  while (whole_entries_ < index_.entries.size() && index_.entries[whole_entries_].stage < kFirstLevelStage)
    whole_length_ += index_.entries[whole_entries_++].length;
  whole_offset_ = front_length(front);
}

Bytes Press::whole_chunk(Bytes whole, uint8_t stage, uint32_t* count) const {
  if (whole.size != whole_length_) refuse("file cut short before the end of what holds for the whole scene");
  Bytes found;
  int many = 0;
  for (size_t i = 0; i < whole_entries_; ++i) {
    const Entry& e = index_.entries[i];
    const Bytes payload{whole.data + (e.offset - whole_offset_), static_cast<size_t>(e.length)};
    check_payload(e, payload);
    if (e.stage != stage) continue;
    found = payload;
    *count = e.count;
    ++many;
  }
  if (many != 1) refuse(describe(stage) + ": " + std::to_string(many) + " chunks, not one");
  return found;
}

Bytes Press::metadata(Bytes whole) const {
  uint32_t count = 0;
  return whole_chunk(whole, kMetadata, &count);
}

void Press::begin(Bytes whole, uint32_t count, int sh_degree, bool lossless) {
  uint32_t elements = 0;
  lossless_ = lossless;
  sh_count_ = (sh_degree + 1) * (sh_degree + 1) - 1;
  if (lossless) return begin_lossless(count);
  places_ = places_of(index_.entries, whole_entries_);
  parameters_ =
      std::make_unique<SplatParameters>(read_parameters(whole_chunk(whole, kSplatParameters, &elements)));
  if (elements != 1) refuse("splat parameters: " + std::to_string(elements) + " elements, not one");
  if (parameters_->sh_count != sh_count_)
    refuse("SH degree " + std::to_string(sh_degree) + " in the metadata, " +
           std::to_string(parameters_->sh_count) + " coefficients in the parameters");
  const Bytes tiles = whole_chunk(whole, kTiles, &elements);
  tiles_ = read_tiles(tiles, elements);
  check_places(count);
  decoders_.resize(tiles_.size());
  next_.assign(tiles_.size(), 0);
  kept_ = count;
  if (parameters_->kept_order) taken_.assign(count, false);
  begun_ = true;
}

void Press::begin_lossless(uint32_t count) {
  uint64_t total = 0;
  for (size_t i = whole_entries_; i < index_.entries.size(); ++i) {
    const Entry& e = index_.entries[i];
    if (e.stage != kLossless) continue;
    const Place place{e.offset, e.length, e.level, e.tile, e.count, static_cast<uint32_t>(i), 1};
    if (e.level || e.tile != places_.size()) refuse("lossless chunk for " + where(place) + ": misplaced");
    if (!e.count || e.count > kLosslessMaxCount)
      refuse("lossless: " + std::to_string(e.count) + " splats in a chunk; 1 to " +
             std::to_string(kLosslessMaxCount) + " are allowed");
    places_.push_back(place);
    total += e.count;
  }
  if (total != count)
    refuse("metadata claim " + std::to_string(count) + " splats, the chunks " + std::to_string(total));
  begun_ = true;
}

void Press::check_places(uint32_t count) const {
  const auto stages = static_cast<uint32_t>(kLevelStages - (parameters_->columns ? 0 : 1));
  uint64_t total = 0;
  for (const Place& place : places_) {
    if (place.tile >= tiles_.size() || place.level >= static_cast<uint32_t>(parameters_->levels))
      refuse(where(place) + ": no such place");
    bool sh = false;
    for (uint32_t i = 0; i < place.entries; ++i) sh = sh || index_.entries[place.first_entry + i].stage == kSh;
    if (place.entries != stages || sh != (parameters_->columns > 0)) refuse(where(place) + ": a chunk is missing");
    total += place.count;
  }
  if (total != count)
    refuse(std::to_string(total) + " splats in the chunks, " + std::to_string(count) + " in the metadata");
  if (total > kFreeCount + kCountPerByte * index_.file_length)
    refuse(std::to_string(total) + " splats in " + std::to_string(index_.file_length) + " bytes");
}

void Press::decode(size_t number, Bytes bytes, const SplatArrays& out) {
  if (number >= places_.size() || !begun_) refuse("no such place");
  const Place& place = places_[number];
  if (bytes.size != place.length) refuse(where(place) + ": cut short");
  if (!lossless_) return decode_splats(place, bytes, out);
  check_payload(index_.entries[place.first_entry], bytes);
  decode_lossless(bytes, place.count, sh_count_, out);
}

void Press::decode_splats(const Place& place, Bytes bytes, const SplatArrays& out) {
  LevelPayloads payloads;
  for (uint32_t i = 0; i < place.entries; ++i) {
    const Entry& e = index_.entries[place.first_entry + i];
    const Bytes payload{bytes.data + (e.offset - place.offset), static_cast<size_t>(e.length)};
    check_payload(e, payload);
    payloads.stages[e.stage - kOrder] = payload;
  }
  uint64_t capacity = 0;
  uint32_t before = 0, after = 0;
  for (const Place& other : places_)
    if (other.tile == place.tile) {
      capacity += other.count;
      if (other.level < place.level) ++before;
      if (other.level > place.level) ++after;
    }
  if (before != next_[place.tile]) refuse(where(place) + ": its levels are decoded in their order");
  auto& decoder = decoders_[place.tile];
  if (!decoder)
    decoder =
        std::make_unique<TileDecoder>(*parameters_, model_, tiles_[place.tile], static_cast<size_t>(capacity));
  decoder->level(static_cast<int>(place.level), place.count, payloads, kept_, out);
  ++next_[place.tile];
  if (!after) decoder.reset();
  for (uint32_t i = 0; i < place.count && !taken_.empty(); ++i) {
    const auto index = static_cast<size_t>(out.indices[i]);
    if (taken_[index]) refuse("order: two splats have the same source index");
    taken_[index] = true;
  }
}

}  // namespace scenepress
