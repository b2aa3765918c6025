// libFuzzer target of the whole decoder of splat files (cuda/decode). Whatever the bytes: it ends, in bounds, and
// says what is wrong. Checksums are set right first, for nothing would get past them.
//
// Input: a `.press` file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "cpu/crc32c.h"
#include "decode/press.h"

using namespace scenepress;

namespace {

constexpr size_t kModelBytes = 7360, kMostSplats = 1 << 16, kChecksumAt = 28;

void put_checksum(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

// Where the checksum of every chunk stands in the index.
std::vector<size_t> checksums(const std::vector<uint8_t>& file, size_t end, size_t count) {
  std::vector<size_t> found;
  ByteReader reader({file.data(), end}, kHeaderLength);
  for (size_t i = 0; i < count; ++i) {
    reader.fixed(2);
    for (int k = 0; k < 4; ++k) reader.varint();
    found.push_back(reader.at());
    reader.fixed(4);
  }
  return found;
}

void set_checksums(std::vector<uint8_t>& file) {
  const auto end = static_cast<size_t>(std::min<uint64_t>(front_length({file.data(), file.size()}), file.size()));
  const auto seal = [&] {
    const uint32_t header = crc32c(file.data(), kChecksumAt, 0);
    put_checksum(file.data() + kChecksumAt, crc32c(file.data() + kHeaderLength, end - kHeaderLength, header));
  };
  seal();
  const Index index = read_index({file.data(), file.size()});
  const std::vector<size_t> places = checksums(file, end, index.entries.size());
  for (size_t i = 0; i < places.size(); ++i) {
    const Entry& e = index.entries[i];
    if (e.offset + e.length > file.size()) break;
    put_checksum(file.data() + places[i], crc32c(file.data() + e.offset, static_cast<size_t>(e.length), 0));
  }
  seal();
}

// The SH degree that the first lossless chunk names in its second byte.
int degree_of_first(const std::vector<Entry>& entries, const std::vector<uint8_t>& file) {
  for (const Entry& entry : entries)
    if (entry.stage == kLossless && entry.length > 1 && entry.offset + 1 < file.size())
      for (int degree = 0; degree < 4; ++degree)
        if (file[static_cast<size_t>(entry.offset) + 1] == (degree + 1) * (degree + 1) - 1) return degree;
  return 0;
}

void decode(const std::vector<uint8_t>& file) {
  static const std::vector<uint8_t> model(kModelBytes, 1);
  Press press({file.data(), file.size()}, {model.data(), model.size()});
  if (press.whole_offset() + press.whole_length() > file.size()) return;
  const Bytes whole{file.data() + press.whole_offset(), static_cast<size_t>(press.whole_length())};
  press.metadata(whole);
  // Metadata is the caller's to read: every degree is tried, and the codec is that of the last chunk.
  const std::vector<Entry>& entries = press.index().entries;
  const bool lossless = !entries.empty() && entries.back().stage == kLossless;
  uint64_t count = 0;
  for (const Entry& entry : entries)
    if (entry.stage == (lossless ? kLossless : kPosition)) count += entry.count;
  if (count > kMostSplats) return;
  for (int degree = lossless ? degree_of_first(entries, file) : 0; degree < 4; ++degree) {
    try {
      press.begin(whole, static_cast<uint32_t>(count), degree, lossless);
      break;
    } catch (const std::invalid_argument&) {
      if (degree == 3) throw;
    }
  }
  const auto k = static_cast<size_t>(press.sh_count());
  for (size_t i = 0; i < press.places().size(); ++i) {
    const Place& place = press.places()[i];
    if (place.offset + place.length > file.size()) return;
    const size_t n = place.count;
    std::vector<float> means(3 * n), quats(4 * n), scales(3 * n), logits(n), sh0(3 * n), shN(3 * k * n);
    std::vector<int32_t> indices(n);
    press.decode(
        i, {file.data() + place.offset, static_cast<size_t>(place.length)},
        {means.data(), quats.data(), scales.data(), logits.data(), sh0.data(), shN.data(), indices.data()});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> file(data, data + size);
  try {
    set_checksums(file);
    decode(file);
  } catch (const std::invalid_argument&) {  // It said what is wrong.
  }
  return 0;
}
