#include "gpu/deformation.h"
#include "gpu/device_array.h"

namespace scenepress {
namespace {

constexpr int kBlock = 128;

__device__ void apply_layer(const LinearLayer& layer, const float* in, bool rectified, float* out) {
  for (int o = 0; o < layer.outputs; ++o) {
    const float* weight = layer.weight + int64_t(o) * layer.inputs;
    float sum = layer.bias[o];
    for (int i = 0; i < layer.inputs; ++i) sum += weight[i] * in[i];
    out[o] = rectified && !(sum > 0.f) ? 0.f : sum;
  }
}

// The rooms of a thread are local memory: widths are only known now.
__global__ void deform_kernel(const DeformationField* field, const float* means, int64_t n, float time,
                              float* out) {
  const int64_t i = int64_t(blockIdx.x) * kBlock + threadIdx.x;
  if (i >= n) return;
  float rooms[2][kMostWidth];
  float *in = rooms[0], *other = rooms[1];
  sample_planes(*field, means + 3 * i, time, in);
  for (int l = 0; l < field->layers; ++l) {
    apply_layer(field->trunk[l], in, true, other);
    float* const swapped = in;
    in = other;
    other = swapped;
  }
  float* row = out + i * field->outputs;
  for (int h = 0; h < field->heads; ++h) {
    apply_layer(field->head_layers[2 * h], in, true, other);
    apply_layer(field->head_layers[2 * h + 1], other, false, row);
    row += field->head_layers[2 * h + 1].outputs;
  }
}

}  // namespace

void deform_cuda(const DeformationField& field, int64_t planes, int64_t weights, const float* means, int64_t n,
                 float time, float* out) {
  if (n == 0 || field.outputs == 0) return;
  const float *first_plane = field.level[0].planes[0], *first_weight = field.trunk[0].weight;
  DeviceArray<float> plane_data(first_plane, planes), weight_data(first_weight, weights), mean_data(means, 3 * n);
  DeviceArray<float> result(n * field.outputs);
  DeformationField moved = field;
  for (int l = 0; l < field.levels; ++l)
    for (int p = 0; p < kPlanes; ++p)
      moved.level[l].planes[p] = plane_data.data() + (field.level[l].planes[p] - first_plane);
  const auto move = [&](LinearLayer& layer) {
    layer.weight = weight_data.data() + (layer.weight - first_weight);
    layer.bias = weight_data.data() + (layer.bias - first_weight);
  };
  for (int l = 0; l < field.layers; ++l) move(moved.trunk[l]);
  for (int h = 0; h < 2 * field.heads; ++h) move(moved.head_layers[h]);
  const DeviceArray<DeformationField> description(&moved, 1);
  deform_kernel<<<int((n + kBlock - 1) / kBlock), kBlock>>>(description.data(), mean_data.data(), n, time,
                                                            result.data());
  check_cuda(cudaGetLastError());
  result.copy_to(out);
}

}  // namespace scenepress
