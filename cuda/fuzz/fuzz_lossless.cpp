// Checksums and the lossless stage's bit reader on arbitrary bytes: all variants agree, nothing is read out of
// bounds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "cpu/crc32c.h"
#include "cpu/lossless.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint32_t start = data[0];
  const size_t cut = std::min<size_t>(data[1], size);
  const uint32_t whole = scenepress::crc32c(data, size, start);
  require(whole == scenepress::crc32c_portable(data, size, start));
  require(whole == scenepress::crc32c(data + cut, size - cut, scenepress::crc32c(data, cut, start)));

  std::vector<uint32_t> bases(256);
  std::vector<uint8_t> lengths(256);
  for (size_t t = 0; t < 256; ++t) {
    bases[t] = static_cast<uint32_t>(t * 0x9E3779B9u);
    lengths[t] = static_cast<uint8_t>(data[t % size] % 33);
  }
  const std::vector<uint8_t> tokens(data, data + size / 2);
  const std::vector<uint8_t> raw(data + size / 2, data + size);
  std::vector<uint32_t> words(tokens.size());
  const uint64_t end = scenepress::expand_words(tokens.data(), tokens.size(), bases.data(), lengths.data(),
                                                raw.data(), raw.size(), start, words.data());
  if (end == scenepress::kPastEnd) return 0;
  require(end <= 8 * raw.size());

  // What was read, packed again behind `start` zero bits, is what was there.
  std::vector<uint8_t> widths{static_cast<uint8_t>(start % 32)};
  std::vector<uint32_t> values{0};
  for (size_t i = 0; i < tokens.size(); ++i) {
    widths.push_back(lengths[tokens[i]]);
    values.push_back(words[i] - bases[tokens[i]]);
  }
  std::vector<uint8_t> packed(scenepress::packed_size(widths.data(), widths.size()) + 1);
  scenepress::pack_bits(values.data(), widths.data(), values.size(), packed.data());
  for (uint64_t bit = start, at = widths[0]; bit < end; ++bit, ++at)
    require((raw[bit >> 3] >> (bit & 7) & 1) == (packed[at >> 3] >> (at & 7) & 1));
  return 0;
}
