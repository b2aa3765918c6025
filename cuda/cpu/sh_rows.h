// SH coefficients as the loops of a level see them: in planes, or splat by splat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/learned.h"
#include "cpu/sh_planes.h"

namespace scenepress {

// The coefficients of a tile's splats, as many of each as its extent says: most splats have few.
struct ShRows {
  explicit ShRows(size_t capacity) : splats(capacity) {}

  // Room for `n` splats from `first` on, whose values are set before they are read.
  void add(size_t first, size_t n, const uint8_t* extents, const int32_t* bounds) {
    size_t total = 1;  // So that a splat without any has a first one to look at, in vain.
    for (size_t i = 0; i < n; ++i) total += static_cast<size_t>(bounds[extents[i]]);
    blocks.emplace_back(new int32_t[total]);
    int32_t* at = blocks.back().get();
    for (size_t i = 0; i < n; ++i) splats[first + i] = at, at += bounds[extents[i]];
    *at = 0;
  }

  std::vector<int32_t*> splats;
  std::vector<std::unique_ptr<int32_t[]>> blocks;
};

// One coefficient of all splats of a tile.
struct ShPlaneColumn {
  int32_t* plane;

  int32_t at(int32_t splat) const { return plane[splat]; }
  void set(int64_t splat, int32_t value) const { plane[splat] = value; }
};

struct ShRowColumn {
  int32_t* const* splats;
  const uint8_t* extents;
  int group, column;

  int32_t at(int32_t splat) const {
    const bool has = extents[splat] >= group;
    const int32_t value = splats[splat][has ? column : 0];  // No branch on what cannot be predicted.
    return has ? value : 0;
  }
  void set(int64_t splat, int32_t value) const { splats[splat][column] = value; }
};

// What the functions of sh_planes.h do, for both.
template <typename Column>
inline void sh_contexts_of(const Column& column, const ShPlane& p, const uint8_t* extents, int group,
                           const uint8_t* classes, const int32_t* steps, uint8_t* out) {
  for (int64_t k = 0; k < p.count; ++k) {
    const int32_t i = p.active[k];
    int size = 0;
    if (p.near) {
      const int64_t a = column.at(p.near[2 * i]), b = column.at(p.near[2 * i + 1]);
      const int64_t sum = (a < 0 ? -a : a) + (b < 0 ? -b : b), step = steps[i];
      size = (2 * sum >= step) + (sum >= 2 * step);
    }
    out[k] = static_cast<uint8_t>(classes[i] * 6 + (extents[i] == group) * 3 + size);
  }
}

template <typename Column>
inline void sh_predict_of(const Column& column, const ShPlane& p, const uint8_t* extents, int group,
                          const uint8_t* classes, const int32_t* steps, const int32_t* weights,
                          const ShPrediction& out) {
  sh_contexts_of(column, p, extents, group, classes, steps, out.context);
  for (int64_t k = 0; k < p.count; ++k) {
    const int32_t i = p.active[k], step = steps[i];
    int64_t sum = 2048;
    if (p.near)
      sum += weights[0] * int64_t{column.at(p.near[2 * i])} + weights[1] * int64_t{column.at(p.near[2 * i + 1])};
    const int32_t eighths = floor_div_double(16 * static_cast<int32_t>(saturate(sum >> 12)) + step, 2 * step);
    const int32_t base = (eighths + 4) >> 3, fraction = eighths - 8 * base;
    out.base[k] = base, out.flip[k] = static_cast<uint8_t>(fraction < 0);
    out.context[k] = static_cast<uint8_t>(2 * out.context[k] + (fraction >= 2 || fraction <= -2));
  }
}

template <typename Column>
inline void sh_scatter_to(const Column& column, int64_t first, const int32_t* active, const int32_t* symbols,
                          const int32_t* steps, int64_t count) {
  for (int64_t k = 0; k < count; ++k) {
    const int64_t value = int64_t{symbols[k]} * steps[active[k]];
    column.set(first + active[k], static_cast<int32_t>(value > kShLimit    ? kShLimit
                                                       : value < -kShLimit ? -kShLimit
                                                                           : value));
  }
}

}  // namespace scenepress
