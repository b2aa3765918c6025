#include "cpu/tokens.h"

#include <algorithm>

#include "core/tokens.h"

namespace scenepress {
namespace {

// token_of() without its loop.
inline uint32_t fast_token_of(uint32_t magnitude) {
  const uint32_t exponent = 31u - static_cast<uint32_t>(__builtin_clz(magnitude | 16));
  const uint32_t coarse = exponent * 4 + (magnitude >> (exponent - 2) & 3);
  return magnitude < 16 ? magnitude : coarse;
}

template <bool kSigned>
size_t tokenize_all(const int32_t* values, size_t n, uint8_t* tokens, uint32_t* raw, uint8_t* lengths) {
  size_t first_invalid = n;
  for (size_t i = 0; i < n; ++i) {
    uint32_t magnitude = kSigned ? zigzag(values[i]) : static_cast<uint32_t>(values[i]);
    if (magnitude >= kMagnitudes) {
      first_invalid = std::min(first_invalid, i);
      magnitude = 0;
    }
    const uint32_t token = fast_token_of(magnitude);
    tokens[i] = static_cast<uint8_t>(token);
    raw[i] = magnitude - token_base(token);
    lengths[i] = static_cast<uint8_t>(token_raw_length(token));
  }
  return first_invalid;
}

}  // namespace

size_t tokenize(const int32_t* values, size_t n, bool is_signed, uint8_t* tokens, uint32_t* raw,
                uint8_t* lengths) {
  return is_signed ? tokenize_all<true>(values, n, tokens, raw, lengths)
                   : tokenize_all<false>(values, n, tokens, raw, lengths);
}

void detokenize(const uint8_t* tokens, const uint32_t* raw, size_t n, bool is_signed, int32_t* values) {
  for (size_t i = 0; i < n; ++i) {
    const uint32_t magnitude = token_base(std::min<uint32_t>(tokens[i], kTokens - 1)) + raw[i];
    values[i] = is_signed ? unzigzag(magnitude) : static_cast<int32_t>(magnitude);
  }
}

bool count_symbols(const uint8_t* tokens, const uint8_t* contexts, size_t n, size_t count, int64_t* counts) {
  if (n && highest(contexts, n) >= count) return false;
  std::fill_n(counts, count * 256, 0);
  for (size_t i = 0; i < n; ++i) ++counts[contexts[i] * size_t(256) + tokens[i]];
  return true;
}

uint8_t highest(const uint8_t* bytes, size_t n) {
  uint8_t top = 0;
  for (size_t i = 0; i < n; ++i) top = std::max(top, bytes[i]);
  return top;
}

}  // namespace scenepress
