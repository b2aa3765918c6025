#include "cpu/learned.h"

#include <vector>

#include "cpu/cpu_features.h"

namespace scenepress {

const LearnedKernels& learned_kernels(bool portable) {
  const LearnedKernels* fast = portable || !has_avx2() ? nullptr : avx2_learned_kernels();
  return fast ? *fast : portable_learned_kernels();
}

namespace {

struct Keyed {
  uint64_t key;
  int32_t index;
};

// By key; equal ones stay in order.
void sort_keys(std::vector<Keyed>* items) {
  constexpr int kBits = 11, kPasses = 6;
  std::vector<Keyed> other(items->size());
  for (int pass = 0; pass < kPasses; ++pass) {
    const int shift = kBits * pass;
    uint32_t starts[(1 << kBits) + 1] = {};
    for (const Keyed& item : *items) ++starts[((item.key >> shift) & ((1 << kBits) - 1)) + 1];
    for (int k = 0; k < 1 << kBits; ++k) starts[k + 1] += starts[k];
    for (const Keyed& item : *items) other[starts[(item.key >> shift) & ((1 << kBits) - 1)]++] = item;
    items->swap(other);
  }
}

}  // namespace

void nearest(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out, int32_t* far) {
  std::vector<Point> points(static_cast<size_t>(m));
  std::vector<Keyed> known(points.size()), queries(static_cast<size_t>(n));
  for (size_t i = 0; i < points.size(); ++i) {
    points[i] = unmorton(coarse[i]);
    known[i] = {moved_code(points[i]), static_cast<int32_t>(i)};
  }
  for (size_t i = 0; i < queries.size(); ++i)
    queries[i] = {moved_code(unmorton(codes[i])), static_cast<int32_t>(i)};
  sort_keys(&known);
  sort_keys(&queries);
  std::vector<int32_t> moved(points.size()), moved_at(queries.size());
  for (size_t i = 0; i < known.size(); ++i) moved[i] = known[i].index;
  size_t smaller = 0;
  for (const Keyed& query : queries) {
    while (smaller < known.size() && known[smaller].key < query.key) ++smaller;
    moved_at[static_cast<size_t>(query.index)] = static_cast<int32_t>(smaller);
  }
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    while (at < m && coarse[at] < codes[i]) ++at;
    nearest_four(codes[i], points.data(), m, at, moved.data(), moved_at[static_cast<size_t>(i)],
                 out + kNearest * i, far + kNearest * i);
  }
}

void level_features(const TileArrays& tile, const int32_t* far, const SeenLevel& level) {
  const auto byte = [](int32_t v) { return static_cast<int8_t>(clamp_to(v, -127, 127)); };
  for (int64_t i = 0; i < level.n; ++i) {
    const int32_t* d = far + kNearest * i;
    int8_t* out = level.features + kCommonRow * level.n + i;
    const int own = tile.classes[tile.first + i];
    *out = byte(8 * own - 64);
    out += level.n;
    for (int k = 0; k < 2; ++k) {
      const int64_t at = level.near[kNearest * i + k];
      int32_t top = tile.logs[at];
      for (int a = 1; a < 3; ++a)
        top = tile.logs[a * tile.capacity + at] > top ? tile.logs[a * tile.capacity + at] : top;
      const int32_t clear = -tile.values[3 * tile.capacity + at] >> 3;
      out[k * level.n] = byte(8 * (tile.classes[at] - own));
      out[(2 + k) * level.n] = byte(clear < 0 ? 0 : clear);
      out[(8 + k) * level.n] = byte((top - tile.origin) >> 5);
    }
    out[4 * level.n] = byte(d[0] >> 3);
    for (int k = 1; k < kNearest; ++k) out[(4 + k) * level.n] = byte((d[k] - d[0]) >> 2);
  }
}

void shape_features(const int32_t* logs, int32_t origin, const SeenLevel& level) {
  int8_t* out = level.features + kShapeRow * level.n;
  for (int64_t i = 0; i < 3 * level.n; ++i)
    out[i] = static_cast<int8_t>(clamp_to((logs[i] - origin) >> 5, -127, 127));
}

}  // namespace scenepress
