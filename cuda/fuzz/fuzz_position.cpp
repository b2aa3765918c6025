// libFuzzer target of the position stage. Whatever the bytes: the decoder ends, and accepts only what the encoder
// writes; whatever the codes: they come back.
//
//   clang++ -std=c++17 -O1 -g -fsanitize=fuzzer,address,undefined -Icuda cuda/fuzz/fuzz_position.cpp
//   cuda/cpu/position.cpp
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cpu/position.h"

using namespace scenepress;

namespace {

std::vector<uint64_t> sorted_codes(const uint8_t* data, size_t size, int bits) {
  std::vector<uint64_t> codes(size / 8);
  if (!codes.empty()) std::memcpy(codes.data(), data, 8 * codes.size());
  for (auto& code : codes) code &= (uint64_t(1) << bits) - 1;
  std::sort(codes.begin(), codes.end());
  return codes;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

// Input: bits, count (2 bytes), number of coarse codes, the coarse codes, the payload (also read as codes).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const int bits = data[0] % (kPositionMaxBits + 1);
  const size_t count = data[1] | size_t(data[2]) << 8;
  const size_t coarse_bytes = std::min<size_t>(8 * size_t(data[3] % 16), size - 4);
  const auto coarse = sorted_codes(data + 4, coarse_bytes, bits);
  const uint8_t* payload = data + 4 + coarse_bytes;
  const size_t payload_size = size - 4 - coarse_bytes;

  std::vector<uint64_t> decoded(count);
  if (decode_positions_cpu(payload, payload_size, decoded.data(), count, coarse.data(), coarse.size(), bits) ==
      PositionResult::kExact) {
    require(std::is_sorted(decoded.begin(), decoded.end()) && (count == 0 || decoded.back() >> bits == 0));
    const auto again = encode_positions_cpu(decoded.data(), count, coarse.data(), coarse.size(), bits);
    require(again.size() == payload_size && std::equal(again.begin(), again.end(), payload));
  }

  const auto codes = sorted_codes(payload, payload_size, bits);
  const auto encoded = encode_positions_cpu(codes.data(), codes.size(), coarse.data(), coarse.size(), bits);
  std::vector<uint64_t> back(codes.size());
  require(decode_positions_cpu(encoded.data(), encoded.size(), back.data(), back.size(), coarse.data(),
                               coarse.size(), bits) == PositionResult::kExact);
  require(back == codes);
  return 0;
}
