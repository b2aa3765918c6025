// The learned context model, one thread a splat: threads side by side read and write each plane side by side. The
// network is an argument of its kernel, thus in constant memory, where one read serves a warp.
#include <cub/device/device_radix_sort.cuh>

#include "gpu/device_array.h"
#include "gpu/learned.h"

namespace scenepress {

namespace {

constexpr int kThreads = 256;

unsigned blocks(int64_t n) { return unsigned((n + kThreads - 1) / kThreads); }

__device__ int64_t thread_index() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// How many of `count` sorted codes are smaller than `code`.
__device__ int64_t smaller_codes(const uint64_t* sorted, int64_t count, uint64_t code) {
  int64_t begin = 0;
  while (count > 0) {
    const int64_t half = count / 2;
    const bool below = sorted[begin + half] < code;
    begin += below ? half + 1 : 0;
    count = below ? count - half - 1 : half;
  }
  return begin;
}

__global__ void coarse_points_kernel(const uint64_t* coarse, int64_t m, Point* points, uint64_t* keys,
                                     int32_t* indices) {
  const int64_t i = thread_index();
  if (i >= m) return;
  points[i] = unmorton(coarse[i]);
  keys[i] = moved_code(points[i]);
  indices[i] = static_cast<int32_t>(i);
}

// Coarse codes as nearest_four() wants them, and the moved codes in their order.
struct Coarse {
  const uint64_t* codes;
  const Point* points;
  const uint64_t* moved_codes;
  const int32_t* moved;
  int64_t m;
};

__global__ void nearest_kernel(const uint64_t* codes, int64_t n, const Coarse coarse, int32_t* out, int32_t* far) {
  const int64_t i = thread_index();
  if (i >= n) return;
  const uint64_t code = codes[i];
  const int64_t at = smaller_codes(coarse.codes, coarse.m, code);
  const int64_t moved_at = smaller_codes(coarse.moved_codes, coarse.m, moved_code(unmorton(code)));
  nearest_four(code, coarse.points, coarse.m, at, coarse.moved, moved_at, out + kNearest * i, far + kNearest * i);
}

__global__ void level_features_kernel(const TileArrays tile, const int32_t* far, const SeenLevel level) {
  const int64_t i = thread_index();
  if (i < level.n) level_features_of(tile, far, level, i);
}

__global__ void shape_features_kernel(const int32_t* logs, int32_t origin, const SeenLevel level) {
  const int64_t i = thread_index();
  if (i < 3 * level.n) level.features[kShapeRow * level.n + i] = size_feature(logs[i], origin);
}

__global__ void residual_features_kernel(const SeenLevel level, int channel, const int32_t* values,
                                         const int32_t* predictions, const int32_t* steps) {
  const int64_t i = thread_index();
  if (i < level.n) residual_features_of(level, channel, values[i] - predictions[i], steps[i], i);
}

__global__ void linear_prediction_kernel(const Prediction p, const SeenLevel level, int32_t* out) {
  const int64_t i = thread_index();
  if (i < level.n) out[i] = linear_prediction_of(p, level.near[kNearest * i], level.near[kNearest * i + 1], i);
}

__global__ void learned_predict_kernel(const Prediction p, const SeenLevel level,
                                       const __grid_constant__ PackedNetwork network, const Predicted out) {
  const int64_t i = thread_index();
  if (i < level.n) predict_splat(p, level, network, i, out);
}

}  // namespace

void nearest_cuda(const uint64_t* codes, int64_t n, const uint64_t* coarse, int64_t m, int32_t* out, int32_t* far,
                  void* stream) {
  if (n == 0) return;
  const auto order = static_cast<cudaStream_t>(stream);
  DeviceArray<Point> points(m);
  DeviceArray<uint64_t> keys(m), moved_codes(m);
  DeviceArray<int32_t> indices(m), moved(m);
  coarse_points_kernel<<<blocks(m), kThreads, 0, order>>>(coarse, m, points.data(), keys.data(), indices.data());
  check_cuda(cudaGetLastError());
  // A radix sort: those of equal keys stay in order, as the specification asks.
  size_t bytes = 0;
  constexpr int kCodeBits = 63;
  check_cuda(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys.data(), moved_codes.data(), indices.data(),
                                             moved.data(), m, 0, kCodeBits, order));
  DeviceArray<uint8_t> scratch(static_cast<int64_t>(bytes));
  check_cuda(cub::DeviceRadixSort::SortPairs(scratch.data(), bytes, keys.data(), moved_codes.data(),
                                             indices.data(), moved.data(), m, 0, kCodeBits, order));
  const Coarse known{coarse, points.data(), moved_codes.data(), moved.data(), m};
  nearest_kernel<<<blocks(n), kThreads, 0, order>>>(codes, n, known, out, far);
  check_cuda(cudaGetLastError());
  check_cuda(cudaStreamSynchronize(order));
}

void level_features_cuda(const TileArrays& tile, const int32_t* far, const SeenLevel& level, void* stream) {
  if (level.n == 0) return;
  level_features_kernel<<<blocks(level.n), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(tile, far, level);
  check_cuda(cudaGetLastError());
}

void shape_features_cuda(const int32_t* logs, int32_t origin, const SeenLevel& level, void* stream) {
  if (level.n == 0) return;
  shape_features_kernel<<<blocks(3 * level.n), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(logs, origin,
                                                                                                 level);
  check_cuda(cudaGetLastError());
}

void residual_features_cuda(const SeenLevel& level, int channel, const int32_t* values, const int32_t* predictions,
                            const int32_t* steps, void* stream) {
  if (level.n == 0) return;
  residual_features_kernel<<<blocks(level.n), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      level, channel, values, predictions, steps);
  check_cuda(cudaGetLastError());
}

void linear_prediction_cuda(const Prediction& p, const SeenLevel& level, int32_t* out, void* stream) {
  if (level.n == 0) return;
  linear_prediction_kernel<<<blocks(level.n), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(p, level, out);
  check_cuda(cudaGetLastError());
}

void learned_predict_cuda(const Prediction& p, const SeenLevel& level, const PackedNetwork& network,
                          const Predicted& out, void* stream) {
  if (level.n == 0) return;
  learned_predict_kernel<<<blocks(level.n), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(p, level, network,
                                                                                              out);
  check_cuda(cudaGetLastError());
}

}  // namespace scenepress
