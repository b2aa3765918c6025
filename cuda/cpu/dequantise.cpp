#include "cpu/dequantise.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace scenepress {

namespace {

constexpr double kOctave256 = 0.6931471805599453 / 256;  // natural logarithms per coded unit of scale
constexpr float kColorUnit = 0x1p-26f;

float saturated(double v) {
  constexpr double largest = std::numeric_limits<float>::max();
  return static_cast<float>(std::min(std::max(v, -largest), largest));
}

}  // namespace

void dequantise_level(const LatticeLevel& level, const SplatFloats& out) {
  const int64_t n = level.n;
  const auto channel = [&](int c) { return level.values + c * level.capacity + level.first; };
  for (int64_t i = 0; i < 3 * n; ++i)
    out.means[i] = saturated(static_cast<double>(level.offsets[i] + level.corner[i % 3]) * level.unit);
  for (int k = 0; k < 3; ++k)
    for (int64_t i = 0; i < n; ++i)
      out.log_scales[3 * i + k] = static_cast<float>(level.logs[k * n + i] * kOctave256);
  const int32_t *opacity = channel(3), *x = channel(4), *y = channel(5), *z = channel(6);
  for (int64_t i = 0; i < n; ++i)
    out.opacity_logits[i] = level.logits[std::clamp<int64_t>(-int64_t{opacity[i]}, 0, level.logit_count - 1)];
  for (int64_t i = 0; i < n; ++i) {
    const double a = x[i] * 0x1p-15, b = y[i] * 0x1p-15, c = z[i] * 0x1p-15;
    out.quats[4 * i] = static_cast<float>(std::sqrt(std::max(1.0 - (a * a + b * b + c * c), 0.0)));
    out.quats[4 * i + 1] = static_cast<float>(a);
    out.quats[4 * i + 2] = static_cast<float>(b);
    out.quats[4 * i + 3] = static_cast<float>(c);
  }
  const int32_t *u = channel(7), *v = channel(8), *w = channel(9), *m = level.color_matrix;
  for (int64_t i = 0; i < n; ++i)
    for (int j = 0; j < 3; ++j) {
      const int64_t sum = int64_t{m[j]} * u[i] + int64_t{m[3 + j]} * v[i] + int64_t{m[6 + j]} * w[i];
      out.sh0[3 * i + j] = static_cast<float>(sum) * kColorUnit;
    }
}

}  // namespace scenepress
