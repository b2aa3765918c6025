// The CUDA rasteriser: one thread a splat to project, a radix sort of (tile, depth) keys, one block a tile to
// blend. No symbol depends on these floats, so contraction to FMA is on.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <cub/cub.cuh>

#include "gpu/device_array.h"
#include "gpu/raster.h"

namespace scenepress {
namespace {

constexpr int kThreads = 256;
constexpr int kTilePixels = kTile * kTile;  // one thread a pixel

int blocks_for(int64_t count) { return static_cast<int>((count + kThreads - 1) / kThreads); }

// Calls body(tile) for every tile the footprint touches, rows first.
template <typename Body>
__device__ void for_each_tile(const Footprint& f, int columns, int rows, Body body) {
  const TileRange row_range = tile_rows(f, rows);
  for (int row = row_range.begin; row < row_range.end; ++row) {
    const TileRange range = tile_columns_in_row(f, row, columns);
    for (int column = range.begin; column < range.end; ++column) body(row * columns + column);
  }
}

// footprints[i], and in counts[i] the number of tiles it touches: 0 if it cannot be seen.
__global__ void project_kernel(SplatArrays splats, Pinhole camera, int columns, int rows, Footprint* footprints,
                               int64_t* counts) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= splats.count) return;
  int64_t count = 0;
  Footprint f;
  if (make_footprint(splats, i, camera, &f)) {
    for_each_tile(f, columns, rows, [&](int) { ++count; });
    footprints[i] = f;
  }
  counts[i] = count;
}

// Splat i writes its entries from ends[i - 1] on. A stable sort then keeps equal depths in index order.
__global__ void list_kernel(int64_t count, const Footprint* footprints, const int64_t* ends, int columns, int rows,
                            uint64_t* keys, uint32_t* ids) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  int64_t at = i == 0 ? 0 : ends[i - 1];
  if (ends[i] == at) return;
  const Footprint f = footprints[i];
  const uint64_t depth = __float_as_uint(f.depth);  // positive: its bits order like the float
  for_each_tile(f, columns, rows, [&](int tile) {
    keys[at] = static_cast<uint64_t>(tile) << 32 | depth;
    ids[at++] = static_cast<uint32_t>(i);
  });
}

// ranges[t] = where the entries of tile t begin and end; zero on entry.
__global__ void range_kernel(int64_t entries, const uint64_t* keys, longlong2* ranges) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= entries) return;
  const uint32_t tile = static_cast<uint32_t>(keys[i] >> 32);
  if (i == 0 || static_cast<uint32_t>(keys[i - 1] >> 32) != tile) ranges[tile].x = i;
  if (i + 1 == entries || static_cast<uint32_t>(keys[i + 1] >> 32) != tile) ranges[tile].y = i + 1;
}

struct Rear {
  float r, g, b;
};

__global__ void blend_kernel(const Footprint* footprints, const uint32_t* ids, const longlong2* ranges,
                             int columns, int width, int height, Rear background, float* color, float* alpha) {
  __shared__ Footprint shared[kTilePixels];
  const int tile = blockIdx.x, thread = threadIdx.x;
  const int x = tile % columns * kTile + thread % kTile, y = tile / columns * kTile + thread / kTile;
  const float px = static_cast<float>(x) + 0.5f, py = static_cast<float>(y) + 0.5f;
  const bool inside = x < width && y < height;
  bool finished = !inside;
  float transmittance = 1.f, r = 0.f, g = 0.f, b = 0.f;
  const longlong2 range = ranges[tile];
  for (int64_t first = range.x; first < range.y; first += kTilePixels) {
    if (__syncthreads_count(finished) == kTilePixels) break;  // also: nobody still reads `shared`
    const int count = static_cast<int>(min(static_cast<long long>(kTilePixels), range.y - first));
    if (thread < count) shared[thread] = footprints[ids[first + thread]];
    __syncthreads();
    for (int i = 0; i < count && !finished; ++i) {
      const Footprint& f = shared[i];
      const float exponent = log2_alpha(f, px, py);
      if (exponent < kLog2MinAlpha) continue;
      const float opacity = smaller(exp2f(exponent), kMaxAlpha);
      const float after = transmittance * (1.f - opacity);
      if (after <= kMinTransmittance) {
        finished = true;
        break;
      }
      const float weight = opacity * transmittance;
      r += weight * f.rgb[0];
      g += weight * f.rgb[1];
      b += weight * f.rgb[2];
      transmittance = after;
    }
  }
  if (!inside) return;
  const int64_t at = static_cast<int64_t>(y) * width + x;
  color[3 * at] = r + transmittance * background.r;
  color[3 * at + 1] = g + transmittance * background.g;
  color[3 * at + 2] = b + transmittance * background.b;
  alpha[at] = 1.f - transmittance;
}

// A copy on the device; its arrays live as long as this does.
struct DeviceSplats {
  DeviceArray<float> means, quats, log_scales, opacity_logits, sh0, shN;
  SplatArrays arrays;

  explicit DeviceSplats(const SplatArrays& host)
      : means(host.means, 3 * host.count),
        quats(host.quats, 4 * host.count),
        log_scales(host.log_scales, 3 * host.count),
        opacity_logits(host.opacity_logits, host.count),
        sh0(host.sh0, 3 * host.count),
        shN(host.shN, 3 * ((host.sh_degree + 1) * (host.sh_degree + 1) - 1) * host.count),
        arrays(host) {
    arrays.means = means.data();
    arrays.quats = quats.data();
    arrays.log_scales = log_scales.data();
    arrays.opacity_logits = opacity_logits.data();
    arrays.sh0 = sh0.data();
    arrays.shN = shN.data();
  }
};

int bits_for(int64_t values) {
  int bits = 0;
  while ((int64_t{1} << bits) < values) ++bits;
  return bits;
}

// Entries sorted by tile, then depth, then index.
DeviceArray<uint32_t> sorted_entries(int64_t entries, int64_t tiles, DeviceArray<uint64_t>& keys,
                                     DeviceArray<uint32_t>& ids, DeviceArray<longlong2>& ranges) {
  DeviceArray<uint64_t> sorted_keys(entries);
  DeviceArray<uint32_t> sorted_ids(entries);
  size_t bytes = 0;
  const int bits = 32 + bits_for(tiles);
  check_cuda(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys.data(), sorted_keys.data(), ids.data(),
                                             sorted_ids.data(), entries, 0, bits));
  DeviceArray<uint8_t> scratch(static_cast<int64_t>(bytes));
  check_cuda(cub::DeviceRadixSort::SortPairs(scratch.data(), bytes, keys.data(), sorted_keys.data(), ids.data(),
                                             sorted_ids.data(), entries, 0, bits));
  range_kernel<<<blocks_for(entries), kThreads>>>(entries, sorted_keys.data(), ranges.data());
  check_cuda(cudaGetLastError());
  return sorted_ids;
}

void inclusive_sum(DeviceArray<int64_t>& values) {
  size_t bytes = 0;
  check_cuda(cub::DeviceScan::InclusiveSum(nullptr, bytes, values.data(), values.data(), values.size()));
  DeviceArray<uint8_t> scratch(static_cast<int64_t>(bytes));
  check_cuda(cub::DeviceScan::InclusiveSum(scratch.data(), bytes, values.data(), values.data(), values.size()));
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

void rasterize_cuda(const SplatArrays& host, const Pinhole& camera, const float* background, float* color,
                    float* alpha) {
  const int columns = tiles_across(camera.width), rows = tiles_across(camera.height);
  const int64_t tiles = static_cast<int64_t>(columns) * rows,
                pixels = static_cast<int64_t>(camera.width) * camera.height;
  DeviceArray<longlong2> ranges(tiles);
  check_cuda(cudaMemset(ranges.data(), 0, sizeof(longlong2) * static_cast<size_t>(tiles)));
  DeviceArray<float> device_color(3 * pixels), device_alpha(pixels);
  DeviceArray<Footprint> footprints(host.count);
  DeviceArray<uint32_t> ids;
  if (host.count > 0) {
    const DeviceSplats splats(host);
    DeviceArray<int64_t> ends(host.count);
    project_kernel<<<blocks_for(host.count), kThreads>>>(splats.arrays, camera, columns, rows, footprints.data(),
                                                         ends.data());
    check_cuda(cudaGetLastError());
    inclusive_sum(ends);
    int64_t entries = 0;
    check_cuda(cudaMemcpy(&entries, ends.data() + host.count - 1, sizeof(entries), cudaMemcpyDeviceToHost));
    if (entries > 0) {
      DeviceArray<uint64_t> keys(entries);
      DeviceArray<uint32_t> unsorted(entries);
      list_kernel<<<blocks_for(host.count), kThreads>>>(host.count, footprints.data(), ends.data(), columns, rows,
                                                        keys.data(), unsorted.data());
      check_cuda(cudaGetLastError());
      ids = sorted_entries(entries, tiles, keys, unsorted, ranges);
    }
  }
  blend_kernel<<<static_cast<int>(tiles), kTilePixels>>>(
      footprints.data(), ids.data(), ranges.data(), columns, camera.width, camera.height,
      {background[0], background[1], background[2]}, device_color.data(), device_alpha.data());
  check_cuda(cudaGetLastError());
  device_color.copy_to(color);
  device_alpha.copy_to(alpha);
}

}  // namespace scenepress
