// The decoder of splat scenes, level by level: docs/spec/splats.md; the twin of codecs/decoder.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/learned.h"
#include "cpu/sh_rows.h"
#include "decode/bytes.h"
#include "decode/parameters.h"

namespace scenepress {

constexpr int kLevelStages = 8;

// The payloads of one level of one tile, by stage from kOrder on; that of SH has no bytes if nothing codes any.
struct LevelPayloads {
  Bytes stages[kLevelStages];
};

// Where the floats of a level go, each [n, ...] as in a scene; indices [n]: of the source, if the file keeps them.
struct SplatArrays {
  float *means, *quats, *log_scales, *opacity_logits, *sh0, *shN;
  int32_t* indices;
};

// Weights of the shipped learned context model, as their file has them.
struct ContextModel {
  explicit ContextModel(Bytes file);

  std::vector<int8_t> hidden;  // [kChannels, kHidden, kFeatures]
  std::vector<int32_t> bias;   // [kChannels, kHidden]
};

// One tile; decodes its levels in their order.
class TileDecoder {
 public:
  // capacity: splats of all levels that will be decoded; known before any payload is.
  TileDecoder(const SplatParameters& parameters, const ContextModel& model, const TileBox& box, size_t capacity);

  // Decodes the next `n` splats, which are `level`. kept: source indices are below it.
  void level(int level, size_t n, const LevelPayloads& payloads, uint32_t kept, const SplatArrays& out);

 private:
  struct Here;

  void place(Here& here, Bytes payload);
  void order(Here& here, Bytes payload, uint32_t kept, int32_t* indices);
  void channels(Here& here, Bytes payload, int first, int count, const int32_t* const* steps);
  void channel(Here& here, RansDecoder& decoder, int channel, const int32_t* steps);
  void listened(Here& here, RansDecoder& decoder, int channel, const Prediction& p, const RansTables& tables);
  void finish(const Here& here, Bytes payload, const SplatArrays& out) const;
  void attributes(Here& here, const LevelPayloads& payloads, const SplatArrays& out);
  void harmonics(Here& here, Bytes payload, float* out);
  void merge(const Here& here);

  const SplatParameters& p_;
  const ContextModel& model_;
  TileBox box_;
  size_t capacity_, filled_ = 0;
  // Set level by level, and never read beyond.
  std::unique_ptr<int32_t[]> values_, logs_;      // [kChannels, capacity], [3, capacity]
  std::unique_ptr<uint8_t[]> classes_, extents_;  // [capacity]
  ShRows sh_;
  std::vector<uint64_t> codes_;   // of what is known, sorted
  std::vector<int32_t> columns_;  // of each of them
};

}  // namespace scenepress
