// Loops over core/tokens.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace scenepress {

// values, tokens, raw, lengths: [n]. Returns the index of the first value out of range, n if none; what is
// written for such a value means nothing.
size_t tokenize(const int32_t* values, size_t n, bool is_signed, uint8_t* tokens, uint32_t* raw, uint8_t* lengths);

// Tokens of kTokens or more give values that mean nothing.
void detokenize(const uint8_t* tokens, const uint32_t* raw, size_t n, bool is_signed, int32_t* values);

// counts: [contexts, 256]. Returns false, counts unspecified, if a context is not below `count`.
bool count_symbols(const uint8_t* tokens, const uint8_t* contexts, size_t n, size_t count, int64_t* counts);

// The largest of n bytes, 0 if n is 0.
uint8_t highest(const uint8_t* bytes, size_t n);

}  // namespace scenepress
