#include "cpu/splat_levels.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/context.h"
#include "cpu/refuse.h"
#include "cpu/sh_rows.h"

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
  // In pieces that stay in the nearest cache; a multiple of the ways, so that they decode as the whole would.
  constexpr int64_t kPiece = 2048;
  int32_t base[kPiece], symbols[kPiece];
  uint8_t contexts[kPiece], flip[kPiece];
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t count = std::min(kPiece, n - begin);
    Prediction piece = p;
    piece.first += begin, piece.classes += begin, piece.steps += begin;
    if (p.near) piece.near += 2 * begin;
    predict(piece, count, decoder.portable(), base, contexts, flip);
    check_contexts(tables, contexts, static_cast<size_t>(count));
    decoder.values(tables, contexts, static_cast<size_t>(count), true, symbols);
    reconstruct(base, flip, symbols, piece.steps, count, decoder.portable(),
                values + p.channel * p.capacity + piece.first);
  }
}

namespace {

// Leaves out_extents as `symbols` says.
void decode_extents(RansDecoder& decoder, const RansTables& tables, const ShLevel& level, int32_t* symbols,
                    uint8_t* out_extents) {
  const auto size = static_cast<size_t>(level.count);
  const std::vector<uint8_t> contexts = extent_contexts(level);
  check_contexts(tables, contexts.data(), size);
  decoder.values(tables, contexts.data(), size, false, symbols);
  for (size_t i = 0; i < size; ++i) {
    if (symbols[i] > kShGroups) refuse("SH extent above 15");
    out_extents[i] = static_cast<uint8_t>(symbols[i]);
  }
}

// column_of(group, j): coefficient j, which splats of that extent and more have.
template <typename ColumnOf>
void decode_groups(RansDecoder& decoder, const RansTables* const* group_tables, const ShLevel& level,
                   int32_t* symbols, const uint8_t* extents, const ColumnOf& column_of) {
  const auto size = static_cast<size_t>(level.count);
  std::vector<int32_t> active(size);
  for (size_t i = 0; i < size; ++i) active[i] = static_cast<int32_t>(i);
  const std::unique_ptr<int32_t[]> base(level.weights ? new int32_t[size] : nullptr);
  const std::unique_ptr<uint8_t[]> flip(level.weights ? new uint8_t[size] : nullptr), contexts(new uint8_t[size]);
  for (int group = 1; group <= kShGroups; ++group) {
    active.erase(std::remove_if(active.begin(), active.end(), [&](int32_t i) { return extents[i] < group; }),
                 active.end());
    if (active.empty()) break;
    for (int64_t j = level.bounds[group - 1]; j < level.bounds[group]; ++j) {
      const RansTables* tables = group_tables[group - 1];
      if (!tables) refuse("a plane needs an entropy table that the splat parameters do not have");
      const auto column = column_of(group, j);
      const ShPlane p{nullptr, level.near, active.data(), static_cast<int64_t>(active.size())};
      if (level.weights) {
        sh_predict_of(column, p, extents, group, level.classes, level.steps, level.weights + 2 * j,
                      {base.get(), contexts.get(), flip.get()});
      } else {
        sh_contexts_of(column, p, extents, group, level.classes, level.steps, contexts.get());
      }
      check_contexts(*tables, contexts.get(), active.size());
      decoder.values(*tables, contexts.get(), active.size(), true, symbols);
      if (level.weights)
        for (size_t k = 0; k < active.size(); ++k) symbols[k] = base[k] + (flip[k] ? -symbols[k] : symbols[k]);
      sh_scatter_to(column, level.first, active.data(), symbols, level.steps, p.count);
    }
  }
}

}  // namespace

void decode_sh_level(RansDecoder& decoder, const RansTables& extent_tables, const RansTables* const* group_tables,
                     const ShLevel& level, uint8_t* out_extents) {
  const std::unique_ptr<int32_t[]> symbols(new int32_t[static_cast<size_t>(level.count)]);
  decode_extents(decoder, extent_tables, level, symbols.get(), out_extents);
  decode_groups(decoder, group_tables, level, symbols.get(), out_extents,
                [&](int, int64_t j) { return ShPlaneColumn{level.planes + j * level.capacity}; });
}

void decode_sh_rows(RansDecoder& decoder, const RansTables& extent_tables, const RansTables* const* group_tables,
                    const ShLevel& level, uint8_t* out_extents, ShRows* rows) {
  const auto size = static_cast<size_t>(level.count);
  const std::unique_ptr<int32_t[]> symbols(new int32_t[size]);
  decode_extents(decoder, extent_tables, level, symbols.get(), out_extents);
  rows->add(static_cast<size_t>(level.first), size, out_extents, level.bounds);
  decode_groups(decoder, group_tables, level, symbols.get(), out_extents, [&](int group, int64_t j) {
    return ShRowColumn{rows->splats.data(), level.extents, group, static_cast<int>(j)};
  });
}

}  // namespace scenepress
