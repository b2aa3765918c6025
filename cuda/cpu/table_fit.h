// Which tables an encoder writes: docs/spec/entropy.md, section 7 (informative).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace scenepress {

// counts: [contexts, 256], each >= 0, 1 <= contexts <= 255. Returns a serialised table set that codes
// exactly these symbols in few bits, its own included.
std::vector<uint8_t> fit_table_set(const int64_t* counts, size_t contexts);

}  // namespace scenepress
