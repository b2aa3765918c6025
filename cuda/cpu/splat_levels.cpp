#include "cpu/splat_levels.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/context.h"
#include "cpu/refuse.h"
#include "cpu/sh_planes.h"

namespace scenepress {

namespace {

constexpr int kExtentBins = 10;

void check_contexts(const RansTables& tables, const uint8_t* contexts, size_t count) {
  uint8_t top = 0;
  for (size_t i = 0; i < count; ++i) top = std::max(top, contexts[i]);
  if (count && top >= tables.contexts)
    refuse("a plane needs an entropy table that the splat parameters do not have");
}

std::vector<uint8_t> extent_contexts(const ShLevel& level) {
  std::vector<uint8_t> contexts(static_cast<size_t>(level.count));
  for (int64_t i = 0; i < level.count; ++i) {
    int bin = kExtentBins - 1;
    if (level.near) bin = (level.extents[level.near[2 * i]] + level.extents[level.near[2 * i + 1]] + 1) >> 2;
    contexts[size_t(i)] = static_cast<uint8_t>(level.classes[i] * kExtentBins + bin);
  }
  return contexts;
}

}  // namespace

void decode_channel(RansDecoder& decoder, const RansTables& tables, const Prediction& p, int64_t n,
                    int32_t* values) {
  const auto size = static_cast<size_t>(n);
  // Not vectors: filling them with zeros first would cost as much as a step of the work.
  const std::unique_ptr<int32_t[]> base(new int32_t[size]), symbols(new int32_t[size]);
  const std::unique_ptr<uint8_t[]> contexts(new uint8_t[size]), flip(new uint8_t[size]);
  predict(p, n, decoder.portable(), base.get(), contexts.get(), flip.get());
  check_contexts(tables, contexts.get(), size);
  decoder.values(tables, contexts.get(), size, true, symbols.get());
  reconstruct(base.get(), flip.get(), symbols.get(), p.steps, n, decoder.portable(),
              values + p.channel * p.capacity + p.first);
}

void decode_sh_level(RansDecoder& decoder, const RansTables& extent_tables, const RansTables* const* group_tables,
                     const ShLevel& level, uint8_t* out_extents) {
  const auto size = static_cast<size_t>(level.count);
  std::vector<int32_t> symbols(size), active(size), base(level.weights ? size : 0);
  std::vector<uint8_t> flip(level.weights ? size : 0);
  std::vector<uint8_t> contexts = extent_contexts(level);
  check_contexts(extent_tables, contexts.data(), size);
  decoder.values(extent_tables, contexts.data(), size, false, symbols.data());
  for (size_t i = 0; i < size; ++i) {
    if (symbols[i] > kShGroups) refuse("SH extent above 15");
    out_extents[i] = static_cast<uint8_t>(symbols[i]);
    active[i] = static_cast<int32_t>(i);
  }
  for (int group = 1; group <= kShGroups; ++group) {
    active.erase(std::remove_if(active.begin(), active.end(), [&](int32_t i) { return out_extents[i] < group; }),
                 active.end());
    if (active.empty()) break;
    for (int64_t j = level.bounds[group - 1]; j < level.bounds[group]; ++j) {
      if (!group_tables[group - 1]) refuse("a plane needs an entropy table that the splat parameters do not have");
      int32_t* plane = level.planes + j * level.capacity;
      contexts.resize(active.size());
      const ShPlane p{plane, level.near, active.data(), static_cast<int64_t>(active.size())};
      if (level.weights) {
        sh_predict(p, out_extents, group, level.classes, level.steps, level.weights + 2 * j,
                   {base.data(), contexts.data(), flip.data()});
      } else {
        sh_contexts(p, out_extents, group, level.classes, level.steps, contexts.data());
      }
      check_contexts(*group_tables[group - 1], contexts.data(), contexts.size());
      decoder.values(*group_tables[group - 1], contexts.data(), active.size(), true, symbols.data());
      if (level.weights)
        for (size_t k = 0; k < active.size(); ++k) symbols[k] = base[k] + (flip[k] ? -symbols[k] : symbols[k]);
      sh_scatter(plane, level.first, active.data(), symbols.data(), level.steps, p.count);
    }
  }
}

}  // namespace scenepress
