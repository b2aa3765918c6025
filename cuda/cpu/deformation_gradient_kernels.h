// A block of splats through the field and back: compiled as it is, and for AVX2 with FMA.
#pragma once

#include <algorithm>

#include "cpu/deformation_gradient.h"
#include "cpu/deformation_layers.h"

namespace scenepress {
namespace {

// Over lanes, in eight sums: as few roundings in a row as the vectors have, whatever their width.
inline float dot_lanes(const float* a, const float* b) {
  float sums[8] = {};
  for (int64_t k = 0; k < kLanes; k += 8)
    for (int64_t j = 0; j < 8; ++j) sums[j] += a[k + j] * b[k + j];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

inline float sum_lanes(const float* a) {
  float sums[8] = {};
  for (int64_t k = 0; k < kLanes; k += 8)
    for (int64_t j = 0; j < 8; ++j) sums[j] += a[k + j];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// by_layer: where the derivatives of its weight begin; those of its bias follow.
void add_layer_gradient(const LinearLayer& layer, const float* by, const float* in, float* by_layer) {
  float* by_bias = by_layer + int64_t(layer.inputs) * layer.outputs;
  for (int32_t o = 0; o < layer.outputs; ++o) {
    const float* d = by + o * kLanes;
    for (int32_t i = 0; i < layer.inputs; ++i)
      by_layer[int64_t(o) * layer.inputs + i] += dot_lanes(d, in + i * kLanes);
    by_bias[o] += sum_lanes(d);
  }
}

// by [outputs][kLanes] -> derivatives with respect to the inputs, added to or put in out [inputs][kLanes].
void back_through(const LinearLayer& layer, const float* by, bool add, float* out) {
  for (int32_t i = 0; i < layer.inputs; ++i) {
    float* y = out + i * kLanes;
    float sum[kLanes];
    for (int64_t k = 0; k < kLanes; ++k) sum[k] = add ? y[k] : 0.f;
    for (int32_t o = 0; o < layer.outputs; ++o) {
      const float w = layer.weight[int64_t(o) * layer.inputs + i];
      const float* d = by + o * kLanes;
      for (int64_t k = 0; k < kLanes; ++k) sum[k] += w * d[k];
    }
    for (int64_t k = 0; k < kLanes; ++k) y[k] = sum[k];
  }
}

// Nothing comes back where a ReLU gave zero.
void mask(const float* rectified, int32_t rows, float* by) {
  for (int64_t k = 0; k < rows * kLanes; ++k) by[k] = rectified[k] > 0.f ? by[k] : 0.f;
}

// How fast the place in the grid changes with the coordinate: nothing beyond the border.
inline float texel_slope(float x, int32_t size) {
  const float half = 0.5f * float(size - 1), at = (x + 1.f) * half;
  return at > 0.f && at < float(size - 1) ? half : 0.f;
}

// One splat: by [features] spreads over the texels it was sampled from, and moves its mean.
void back_through_planes(const FlatField& flat, const float* mean, float time, const float* by, float* by_planes,
                         float* by_mean) {
  const DeformationField& field = flat.field;
  float at[4], by_at[4] = {};
  for (int k = 0; k < 3; ++k) at[k] = (mean[k] - field.low[k]) * field.scale[k] - 1.f;
  at[3] = time;
  float sample[kPlanes][kMostWidth], other[kMostWidth];
  for (int l = 0; l < field.levels; ++l) {
    const PlaneLevel& level = field.level[l];
    const int32_t channels = level.channels;
    TexelStep steps[4];
    for (int k = 0; k < 4; ++k) steps[k] = texel_step(at[k], level.sides[k]);
    for (int p = 0; p < kPlanes; ++p) {
      const TexelStep &x = steps[plane_first_axis(p)], &y = steps[plane_second_axis(p)];
      const int64_t width = level.sides[plane_first_axis(p)];
      const float* rows[2] = {level.planes[p] + y.before * width * channels,
                              level.planes[p] + y.after * width * channels};
      const int64_t before = int64_t(x.before) * channels, after = int64_t(x.after) * channels;
      for (int32_t c = 0; c < channels; ++c) {
        const float top = rows[0][before + c] * (1.f - x.part) + rows[0][after + c] * x.part;
        const float bottom = rows[1][before + c] * (1.f - x.part) + rows[1][after + c] * x.part;
        sample[p][c] = top * (1.f - y.part) + bottom * y.part;
      }
    }
    for (int p = 0; p < kPlanes; ++p) {
      for (int32_t c = 0; c < channels; ++c) other[c] = by[c];
      for (int q = 0; q < kPlanes; ++q)
        if (q != p)
          for (int32_t c = 0; c < channels; ++c) other[c] *= sample[q][c];
      const int first = plane_first_axis(p), second = plane_second_axis(p);
      const TexelStep &x = steps[first], &y = steps[second];
      const int64_t width = level.sides[first], offset = level.planes[p] - flat.planes;
      const int64_t texels[4] = {(y.before * width + x.before) * channels, (y.before * width + x.after) * channels,
                                 (y.after * width + x.before) * channels, (y.after * width + x.after) * channels};
      const float shares[4] = {(1.f - y.part) * (1.f - x.part), (1.f - y.part) * x.part, y.part * (1.f - x.part),
                               y.part * x.part};
      for (int t = 0; t < 4; ++t) {
        float* g = by_planes + offset + texels[t];
        for (int32_t c = 0; c < channels; ++c) g[c] += shares[t] * other[c];
      }
      float along_x = 0.f, along_y = 0.f;
      const float* plane = level.planes[p];
      for (int32_t c = 0; c < channels; ++c) {
        const float a = plane[texels[0] + c], b = plane[texels[1] + c], d = plane[texels[2] + c],
                    e = plane[texels[3] + c];
        along_x += other[c] * ((b - a) * (1.f - y.part) + (e - d) * y.part);
        along_y += other[c] * ((d - a) * (1.f - x.part) + (e - b) * x.part);
      }
      by_at[first] += along_x * texel_slope(at[first], level.sides[first]);
      by_at[second] += along_y * texel_slope(at[second], level.sides[second]);
    }
    by += channels;
  }
  for (int k = 0; k < 3; ++k) by_mean[k] = by_at[k] * field.scale[k];
}

void gradient_block(const FlatField& flat, const float* means, int64_t n, float time, const float* by_out,
                    float* scratch, float* by_planes, float* by_weights, float* by_means) {
  const DeformationField& field = flat.field;
  const auto where = [&](const LinearLayer& layer) { return by_weights + (layer.weight - flat.weights); };
  float *next = scratch, *layers[kMostLayers + 1];
  const auto take = [&](int64_t rows) {
    float* room = next;
    next += rows * kLanes;
    return room;
  };
  layers[0] = take(field.features);
  std::fill_n(layers[0], field.features * kLanes, 0.f);
  float row[kMostWidth];
  for (int64_t k = 0; k < n; ++k) {
    sample_planes(field, means + 3 * k, time, row);
    for (int32_t i = 0; i < field.features; ++i) layers[0][i * kLanes + k] = row[i];
  }
  for (int32_t l = 0; l < field.layers; ++l) {
    layers[l + 1] = take(field.trunk[l].outputs);
    apply_layer(field.trunk[l], layers[l], true, layers[l + 1]);
  }
  const float* hidden = layers[field.layers];
  const int32_t width = field.trunk[field.layers - 1].outputs;
  float *inner = take(kMostWidth), *by_inner = take(kMostWidth), *by = take(kMostWidth), *other = take(kMostWidth);
  std::fill_n(by, width * kLanes, 0.f);
  int32_t first = 0;
  for (int32_t h = 0; h < field.heads; ++h) {
    const LinearLayer &head = field.head_layers[2 * h], &last = field.head_layers[2 * h + 1];
    apply_layer(head, hidden, true, inner);
    std::fill_n(other, last.outputs * kLanes, 0.f);
    for (int64_t k = 0; k < n; ++k)
      for (int32_t o = 0; o < last.outputs; ++o) other[o * kLanes + k] = by_out[k * field.outputs + first + o];
    add_layer_gradient(last, other, inner, where(last));
    back_through(last, other, false, by_inner);
    mask(inner, head.outputs, by_inner);
    add_layer_gradient(head, by_inner, hidden, where(head));
    back_through(head, by_inner, true, by);
    first += last.outputs;
  }
  for (int32_t l = field.layers - 1; l >= 0; --l) {
    mask(layers[l + 1], field.trunk[l].outputs, by);
    add_layer_gradient(field.trunk[l], by, layers[l], where(field.trunk[l]));
    back_through(field.trunk[l], by, false, other);
    std::swap(by, other);
  }
  for (int64_t k = 0; k < n; ++k) {
    for (int32_t i = 0; i < field.features; ++i) row[i] = by[i * kLanes + k];
    back_through_planes(flat, means + 3 * k, time, row, by_planes, by_means + 3 * k);
  }
}

}  // namespace
}  // namespace scenepress
