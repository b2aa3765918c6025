// The encoder's rounding: what one splat's rounding lost is made up for by the next ones.
#pragma once

#include <cstdint>

namespace scenepress {

// x [n, columns] in steps -> out [n, columns] whole steps, row after row: each value is rounded after `strength`
// times the error of the row before was added to it. Sizes below `dead_zone` steps become 0; 0.5 is plain
// rounding.
void diffuse_errors(const float* x, int64_t n, int64_t columns, float strength, float dead_zone, int32_t* out);

}  // namespace scenepress
