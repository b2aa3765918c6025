// What all tiles of a scene share: docs/spec/parameters.md; the twin of stages/parameters.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/shape.h"
#include "cpu/rans.h"
#include "decode/bytes.h"

namespace scenepress {

constexpr int kChannels = 10, kExtentGroups = 15, kMaxClasses = 16;

// Of each channel: those of the same splat that it is predicted from.
struct Inputs {
  int32_t channels[3];
  int count;
};
constexpr Inputs kInputs[kChannels] = {{{}, 0},  {{0}, 1},    {{0, 1}, 2}, {{0, 1, 2}, 3}, {{}, 0},
                                       {{4}, 1}, {{4, 5}, 2}, {{3}, 1},    {{7}, 1},       {{7, 8}, 2}};

struct Predictor {
  std::vector<int32_t> weights, bias;
};

// The output layer of one channel of the learned context model; empty where the tables do without.
struct Head {
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
};

using TablesPointer = std::unique_ptr<RansTables>;  // null: the scene has no such plane

// The table set that the reader has come to: docs/spec/entropy.md, section 4.
TablesPointer read_table_set(ByteReader& reader);

struct SplatParameters {
  int exponent = 0;  // log2 of the grid unit in scene units
  bool kept_order = false, sh_predicted = false;
  int sh_count = 0, columns = 0, classes = 0, levels = 0;
  std::vector<int> bounds, cells;  // by level: the last class, log2 of the cells' edge
  // Step codes by class, of rotation also by knot and by size.
  std::vector<uint8_t> scale, opacity, rotation, gain, lift, color, sh;
  ScaleCurve curve{};
  std::vector<int32_t> offset;  // [3, classes]
  std::array<int32_t, 9> slope{}, color_matrix{};
  int32_t reach = 0;
  std::vector<int32_t> basis;  // [columns, 3 sh_count]
  std::array<int32_t, kExtentGroups> shift{};
  std::array<std::array<Predictor, kChannels>, 2> predictors;  // without neighbours, and with
  std::vector<int32_t> sh_weights;                             // [columns, 2], or none
  TablesPointer order_tables, extent_tables;
  std::array<TablesPointer, kChannels> channel_tables;
  std::array<TablesPointer, kExtentGroups> group_tables;
  int model = 0;  // of the learned context model; 0: none
  std::array<Head, kChannels> heads;

  // Whether this channel or one after it has a head.
  bool listens(int channel) const;
};

SplatParameters read_parameters(Bytes payload);

struct TileBox {
  int64_t corner[3];
  int bits;
};

std::vector<TileBox> read_tiles(Bytes payload, uint32_t count);

}  // namespace scenepress
