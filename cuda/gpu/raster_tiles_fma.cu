// Project, list, sort: see raster_tiles.cuh. No symbol depends on these floats, so contraction to FMA is on.
#include <algorithm>
#include <cstring>

#include "gpu/raster_tiles.cuh"

namespace scenepress {
namespace {

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
                            uint64_t* keys, uint32_t* sources, uint32_t* splats) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  int64_t at = i == 0 ? 0 : ends[i - 1];
  if (ends[i] == at) return;
  const Footprint f = footprints[i];
  const uint64_t depth = __float_as_uint(f.depth);  // positive: its bits order like the float
  for_each_tile(f, columns, rows, [&](int tile) {
    keys[at] = static_cast<uint64_t>(tile) << 32 | depth;
    sources[at] = static_cast<uint32_t>(at);
    splats[at++] = static_cast<uint32_t>(i);
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

// ids[k] = the splat of sorted entry k.
__global__ void gather_kernel(int64_t entries, const uint32_t* sources, const uint32_t* splats, uint32_t* ids) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < entries) ids[i] = splats[sources[i]];
}

int bits_for(int64_t values) {
  int bits = 0;
  while ((int64_t{1} << bits) < values) ++bits;
  return bits;
}

void inclusive_sum(DeviceArray<int64_t>& values) {
  size_t bytes = 0;
  check_cuda(cub::DeviceScan::InclusiveSum(nullptr, bytes, values.data(), values.data(), values.size()));
  DeviceArray<uint8_t> scratch(static_cast<int64_t>(bytes));
  check_cuda(cub::DeviceScan::InclusiveSum(scratch.data(), bytes, values.data(), values.data(), values.size()));
}

// Entries sorted by tile, then depth, then index: `splats` are theirs in the order of `keys`.
void sort_entries(DeviceArray<uint64_t>& keys, DeviceArray<uint32_t>& unsorted,
                  const DeviceArray<uint32_t>& splats, DeviceTiles* out) {
  const int64_t tiles = static_cast<int64_t>(out->columns) * out->rows, entries = out->entries;
  DeviceArray<uint64_t> sorted_keys(entries);
  out->sources = DeviceArray<uint32_t>(entries);
  out->ids = DeviceArray<uint32_t>(entries);
  size_t bytes = 0;
  const int bits = 32 + bits_for(tiles);
  check_cuda(cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys.data(), sorted_keys.data(), unsorted.data(),
                                             out->sources.data(), entries, 0, bits));
  DeviceArray<uint8_t> scratch(static_cast<int64_t>(bytes));
  check_cuda(cub::DeviceRadixSort::SortPairs(scratch.data(), bytes, keys.data(), sorted_keys.data(),
                                             unsorted.data(), out->sources.data(), entries, 0, bits));
  gather_kernel<<<blocks_for(entries), kThreads>>>(entries, out->sources.data(), splats.data(), out->ids.data());
  range_kernel<<<blocks_for(entries), kThreads>>>(entries, sorted_keys.data(), out->ranges.data());
  check_cuda(cudaGetLastError());
}

}  // namespace

DeviceTiles sort_into_tiles(const DeviceSplats& splats, const Pinhole& camera) {
  DeviceTiles out;
  out.columns = tiles_across(camera.width);
  out.rows = tiles_across(camera.height);
  const int64_t tiles = static_cast<int64_t>(out.columns) * out.rows, count = splats.arrays.count;
  out.ranges = DeviceArray<longlong2>(tiles);
  check_cuda(cudaMemset(out.ranges.data(), 0, sizeof(longlong2) * static_cast<size_t>(tiles)));
  out.footprints = DeviceArray<Footprint>(count);
  out.ends = DeviceArray<int64_t>(count);
  if (count == 0) return out;
  project_kernel<<<blocks_for(count), kThreads>>>(splats.arrays, camera, out.columns, out.rows,
                                                  out.footprints.data(), out.ends.data());
  check_cuda(cudaGetLastError());
  inclusive_sum(out.ends);
  check_cuda(cudaMemcpy(&out.entries, out.ends.data() + count - 1, sizeof(out.entries), cudaMemcpyDeviceToHost));
  if (out.entries == 0) return out;
  if (out.entries >> 32) throw std::runtime_error("CUDA: the splats of this view touch too many tiles");
  DeviceArray<uint64_t> keys(out.entries);
  DeviceArray<uint32_t> unsorted(out.entries), owners(out.entries);
  list_kernel<<<blocks_for(count), kThreads>>>(count, out.footprints.data(), out.ends.data(), out.columns,
                                               out.rows, keys.data(), unsorted.data(), owners.data());
  check_cuda(cudaGetLastError());
  sort_entries(keys, unsorted, owners, &out);
  return out;
}

}  // namespace scenepress
