// From the integers of a level to the floats of its splats: the last step of docs/spec/{tiles,rotation,scale,
// opacity,color}.md. Every operation rounds once, to nearest, as on every other machine.
#pragma once

#include <cstdint>

namespace scenepress {

struct LatticeLevel {
  const int32_t* values;        // [10, capacity]
  int64_t capacity, first, n;   // columns first .. first + n - 1
  const int32_t* logs;          // [3, n] scales in 1/256 octave
  const int64_t* offsets;       // [n, 3] from the tile's corner
  const int64_t* corner;        // [3] in grid units
  double unit;                  // scene units per grid unit, a power of two
  const int32_t* color_matrix;  // [3, 3]
  const float* logits;          // [logit_count] by opacity value, 0 and down
  int64_t logit_count;
};

struct SplatFloats {
  float *means, *quats, *log_scales, *opacity_logits, *sh0;  // [n, 3], [n, 4], [n, 3], [n], [n, 3]
};

void dequantise_level(const LatticeLevel& level, const SplatFloats& out);

}  // namespace scenepress
