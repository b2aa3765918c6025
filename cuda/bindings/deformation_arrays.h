// A deformation field as Python hands it over: flat arrays, and how long their parts are.
#pragma once

#include "bindings/arrays.h"
#include "core/deformation.h"

namespace scenepress {

// planes: of all levels, as PlaneLevel has them, one after the other. levels [L, 5]: channels, then sides.
// weights: of all layers, each weight then bias. trunk [K, 2], heads [2 H, 2]: inputs and outputs of layers.
struct FieldArrays {
  Input1<float> planes;
  Input2<int64_t> levels;
  Input2<float> bounds;
  Input1<float> weights;
  Input2<int64_t> trunk, heads;
};

// The next layer of `weights`.
inline LinearLayer read_layer(const Input1<float>& weights, size_t* at, int64_t inputs, int64_t outputs,
                              int64_t expected) {
  check(inputs == expected && outputs > 0 && outputs <= kMostWidth,
        "deformation: layers that do not fit together");
  const auto count = size_t(inputs * outputs);
  check(*at + count + size_t(outputs) <= weights.shape(0), "deformation: too few weights");
  const float* data = weights.data() + *at;
  *at += count + size_t(outputs);
  return {data, data + count, int32_t(inputs), int32_t(outputs)};
}

inline DeformationField field_of(const FieldArrays& a) {
  DeformationField field{};
  check(a.levels.shape(0) > 0 && a.levels.shape(0) <= kMostLevels && a.levels.shape(1) == 5,
        "deformation: 1 to 16 levels");
  check(a.bounds.shape(0) == 2 && a.bounds.shape(1) == 3, "deformation: bounds [2, 3]");
  check(a.trunk.shape(0) > 0 && a.trunk.shape(0) <= kMostLayers && a.trunk.shape(1) == 2,
        "deformation: 1 to 16 layers");
  check(a.heads.shape(1) == 2 && a.heads.shape(0) % 2 == 0 && a.heads.shape(0) <= 2 * kMostHeads,
        "deformation: at most 5 heads");
  for (size_t k = 0; k < 3; ++k) {
    field.low[k] = a.bounds.data()[k];
    field.scale[k] = 2.f / (a.bounds.data()[3 + k] - a.bounds.data()[k]);
  }
  size_t at = 0;
  for (size_t l = 0; l < a.levels.shape(0); ++l) {
    const int64_t* row = a.levels.data() + 5 * l;
    PlaneLevel& level = field.level[field.levels++];
    level.channels = int32_t(row[0]);
    for (size_t k = 0; k < 5; ++k) check(row[k] > 0 && row[k] < (1 << 16), "deformation: a side of 1 to 65535");
    for (int k = 0; k < 4; ++k) level.sides[k] = int32_t(row[1 + k]);
    field.features += level.channels;
    check(field.features <= kMostWidth, "deformation: more than 512 features");
    for (int p = 0; p < kPlanes; ++p) {
      const auto texels = size_t(row[1 + plane_first_axis(p)] * row[1 + plane_second_axis(p)]);
      level.planes[p] = a.planes.data() + at;
      at += texels * size_t(row[0]);
      check(at <= a.planes.shape(0), "deformation: planes too short");
    }
  }
  size_t next = 0;
  int64_t width = field.features;
  for (size_t k = 0; k < a.trunk.shape(0); ++k, width = a.trunk.data()[2 * k - 1])
    field.trunk[field.layers++] =
        read_layer(a.weights, &next, a.trunk.data()[2 * k], a.trunk.data()[2 * k + 1], width);
  for (size_t k = 0; k < a.heads.shape(0); ++k) {
    const int64_t inputs = a.heads.data()[2 * k], outputs = a.heads.data()[2 * k + 1];
    field.head_layers[k] =
        read_layer(a.weights, &next, inputs, outputs, k % 2 ? a.heads.data()[2 * k - 1] : width);
    if (k % 2) field.outputs += int32_t(outputs);
    if (k % 2) ++field.heads;
  }
  return field;
}

}  // namespace scenepress
