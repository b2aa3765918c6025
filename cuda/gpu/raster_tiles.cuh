// The CUDA rasteriser up to the blending: one thread a splat to project, then a radix sort of (tile, depth) keys.
#pragma once

#include <cstdint>
#include <cub/cub.cuh>

#include "core/blend.h"
#include "gpu/device_array.h"

namespace scenepress {

constexpr int kThreads = 256;
constexpr int kTilePixels = kTile * kTile;  // one thread a pixel

static inline int blocks_for(int64_t count) { return static_cast<int>((count + kThreads - 1) / kThreads); }

// Calls body(tile) for every tile the footprint touches, rows first.
template <typename Body>
static __device__ void for_each_tile(const Footprint& f, int columns, int rows, Body body) {
  const TileRange row_range = tile_rows(f, rows);
  for (int row = row_range.begin; row < row_range.end; ++row) {
    const TileRange range = tile_columns_in_row(f, row, columns);
    for (int column = range.begin; column < range.end; ++column) body(row * columns + column);
  }
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

// What a view is blended from. An entry is a pair of a splat and a tile; unsorted, those of splat i stand at
// ends[i - 1] .. ends[i] - 1, tile after tile.
struct DeviceTiles {
  DeviceArray<Footprint> footprints;  // [splats], of those that are seen
  DeviceArray<int64_t> ends;          // [splats]
  DeviceArray<uint32_t> ids;          // [entries] splats, by tile, then depth, then index
  DeviceArray<uint32_t> sources;      // [entries] where each stood unsorted
  DeviceArray<longlong2> ranges;      // [tiles] begin and end in ids
  int64_t entries = 0;
  int columns = 0, rows = 0;
};

DeviceTiles sort_into_tiles(const DeviceSplats& splats, const Pinhole& camera);

}  // namespace scenepress
