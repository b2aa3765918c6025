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
  for (int64_t i = 0; i < level.n; ++i) level_features_of(tile, far, level, i);
}

void shape_features(const int32_t* logs, int32_t origin, const SeenLevel& level) {
  int8_t* out = level.features + kShapeRow * level.n;
  for (int64_t i = 0; i < 3 * level.n; ++i) out[i] = size_feature(logs[i], origin);
}

void predict_few(const Prediction& p, const SeenLevel& level, const Network& network, const Predicted& out) {
  const PackedNetwork packed = pack_network(network);
  for (int64_t i = 0; i < level.n; ++i) predict_splat(p, level, packed, i, out);
}

}  // namespace scenepress
