#include "cpu/shape.h"

#include <cmath>
#include <vector>

#include "core/bits.h"

namespace scenepress {

void expand_scales(const int32_t* coded, int64_t n, const ScaleCurve& curve, int32_t* out) {
  // A curve has at most 16 * 256 numbers inside when an encoder of sense made it: looked up, where there are many.
  const int64_t end = curve.start[kSizes];
  std::vector<int32_t> known(n > end && end <= 4096 ? static_cast<size_t>(end) : 0);
  for (size_t i = 0; i < known.size(); ++i) known[i] = expand_scale(static_cast<int32_t>(i), curve);
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint32_t>(coded[i]);  // a negative one is a huge one
    out[i] = at < known.size() ? known[at] : expand_scale(coded[i], curve);
  }
}

void rotation_steps(const RotationSteps& s, const uint8_t* classes, const int32_t* scales, int64_t n,
                    int32_t* out) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t a = scales[i], b = scales[n + i], c = scales[2 * n + i];
    out[i] = rotation_step(s, classes[i], b, c);
    out[n + i] = rotation_step(s, classes[i], c, a);
    out[2 * n + i] = rotation_step(s, classes[i], a, b);
  }
}

void position_exponents(const PositionSteps& s, const uint8_t* classes, const int32_t* scales,
                        const int32_t* vectors, int64_t n, int64_t* exponents, int64_t* world) {
  // IEEE square roots round correctly, so the floor of one of an integer below 2^53 is exact.
  const auto root = [](int64_t v) { return static_cast<int64_t>(std::sqrt(static_cast<double>(v))); };
  for (int64_t i = 0; i < n; ++i) {
    int64_t matrix[9], e[3], w[3] = {};
    rotation_matrix(vectors[i], vectors[n + i], vectors[2 * n + i], root, matrix);
    const int32_t scale[3] = {scales[i], scales[n + i], scales[2 * n + i]};
    position_exponents(s, classes[i], scale, matrix, e, w);
    for (int k = 0; k < 3; ++k) exponents[k * n + i] = e[k], world[k * n + i] = w[k];
  }
}

void refine_positions(const uint8_t* bits, int64_t at, const uint32_t* cells, const int64_t* exponents, int64_t n,
                      int cell, int64_t* out) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < 3; ++k) {
      const int64_t e = exponents[k * n + i];
      const int length = static_cast<int>(cell - e);
      const uint64_t whole = uint64_t{cells[3 * i + k]} << cell;
      const uint64_t field = uint64_t{get_bits(bits, at, length)} << e;
      out[3 * i + k] = static_cast<int64_t>(whole + field + ((uint64_t{1} << e) >> 1));
      at += length;
    }
}

}  // namespace scenepress
