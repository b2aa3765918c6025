#include "cpu/error_diffusion.h"

#include <cstddef>
#include <vector>

namespace scenepress {

void diffuse_errors(const float* x, int64_t n, int64_t columns, float strength, float dead_zone, int32_t* out) {
  std::vector<float> error(static_cast<size_t>(columns), 0.0f);
  const float up = 1.0f - dead_zone;
  for (int64_t i = 0; i < n; ++i, x += columns, out += columns) {
    for (int64_t j = 0; j < columns; ++j) {
      const float wanted = x[j] + error[size_t(j)];
      const float size = wanted < 0 ? -wanted : wanted;
      const int32_t whole = static_cast<int32_t>((size < 1e6f ? size : 1e6f) + up);  // Truncates: size + up >= 0.
      out[j] = wanted < 0 ? -whole : whole;
      const float lost = strength * (wanted - static_cast<float>(out[j]));
      error[size_t(j)] = lost > 1 ? 1 : lost < -1 ? -1 : lost;
    }
  }
}

}  // namespace scenepress
