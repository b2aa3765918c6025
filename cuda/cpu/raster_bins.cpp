#include "cpu/raster_bins.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpu/parallel.h"
#include "cpu/raster_kernels.h"

namespace scenepress {
namespace {

constexpr int64_t kChunk = 4096;  // splats a thread takes at a time

struct DepthKey {
  uint32_t depth;  // the bits of a positive float order like the float
  uint32_t splat;
};

// Stable, 11 bits a pass: 3 passes sort by all 32.
void radix_sort(std::vector<DepthKey>& keys) {
  std::vector<DepthKey> scratch(keys.size());
  for (int shift = 0; shift < 33; shift += 11) {
    uint32_t starts[2048] = {};
    for (const DepthKey& key : keys) ++starts[key.depth >> shift & 2047];
    uint32_t sum = 0;
    for (uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const DepthKey& key : keys) scratch[starts[key.depth >> shift & 2047]++] = key;
    keys.swap(scratch);
  }
}

// Calls body(tile) for every tile the splat touches.
template <typename Body>
void for_each_tile(const Footprint& f, const TileGrid& grid, Body body) {
  const TileRange rows = tile_rows(f, grid.rows);
  for (int row = rows.begin; row < rows.end; ++row) {
    const TileRange columns = tile_columns(f, row, grid.columns);
    for (int column = columns.begin; column < columns.end; ++column)
      body(static_cast<uint32_t>(row) * static_cast<uint32_t>(grid.columns) + static_cast<uint32_t>(column));
  }
}

struct TileEntry {
  uint32_t tile, splat;
};

}  // namespace

VisibleSplats find_visible(const SplatArrays& splats, const Pinhole& camera, const RasterKernels& kernels,
                           int threads) {
  VisibleSplats out;
  const size_t count = static_cast<size_t>(splats.count);
  out.footprints.reset(new Footprint[count]);
  const std::unique_ptr<uint32_t[]> found(new uint32_t[count]);
  const int64_t chunks = (splats.count + kChunk - 1) / kChunk;
  std::vector<int64_t> found_in(static_cast<size_t>(chunks));
  parallel_for(
      chunks,
      [&](int64_t c) {
        const int64_t begin = c * kChunk, end = std::min(begin + kChunk, splats.count);
        found_in[static_cast<size_t>(c)] =
            kernels.make_footprints(splats, begin, end, camera, out.footprints.get(), found.get() + begin);
      },
      threads);

  std::vector<DepthKey> keys;
  keys.reserve(count);
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t i = 0; i < found_in[static_cast<size_t>(c)]; ++i) {
      const uint32_t splat = found[static_cast<size_t>(c * kChunk + i)];
      uint32_t depth;
      std::memcpy(&depth, &out.footprints[splat].depth, 4);
      keys.push_back({depth, splat});
    }
  radix_sort(keys);
  out.order.resize(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) out.order[i] = keys[i].splat;
  return out;
}

void clear_tile(const Pinhole& camera, int left, int top, TilePixels* pixels) {
  for (int i = 0; i < kTilePixels; ++i) {
    const bool inside = left + i % kTile < camera.width && top + i / kTile < camera.height;
    pixels->transmittance[i] = inside ? 1.f : -1.f;
    pixels->r[i] = pixels->g[i] = pixels->b[i] = 0.f;
  }
}

int64_t next_slice(const VisibleSplats& visible, int64_t begin, const TileGrid& grid, int64_t budget) {
  const int64_t count = static_cast<int64_t>(visible.order.size());
  int64_t tiles = 0, end = begin;
  for (; end < count; ++end) {
    const Footprint& f = visible.footprints[visible.order[static_cast<size_t>(end)]];
    const TileRange rows = tile_rows(f, grid.rows);
    const TileRange columns = tiles_between(f.x - f.reach_x, f.x + f.reach_x, grid.columns);
    tiles += static_cast<int64_t>(std::max(rows.end - rows.begin, 0)) * std::max(columns.end - columns.begin, 0);
    if (tiles > budget && end > begin) break;
  }
  return end;
}

TileBins sort_into_tiles(const VisibleSplats& visible, int64_t begin, int64_t end, const TileGrid& grid,
                         int threads) {
  // A counting sort: parts of the depth order list their tiles, then scatter them, part after part within a tile.
  const size_t tiles = static_cast<size_t>(grid.count());
  const size_t parts = static_cast<size_t>(std::clamp<int64_t>((end - begin) / kChunk, 1, 4 * threads));
  std::vector<std::vector<TileEntry>> entries(parts);
  std::vector<std::vector<int64_t>> next(parts);  // per part: a tile's count, later the place of its next entry
  parallel_for(
      static_cast<int64_t>(parts),
      [&](int64_t part) {
        std::vector<TileEntry>& list = entries[static_cast<size_t>(part)];
        std::vector<int64_t>& counts = next[static_cast<size_t>(part)];
        counts.assign(tiles, 0);
        const int64_t stop = begin + (end - begin) * (part + 1) / static_cast<int64_t>(parts);
        int64_t i = begin + (end - begin) * part / static_cast<int64_t>(parts);
        list.reserve(static_cast<size_t>(3 * (stop - i)));
        for (; i < stop; ++i) {
          const uint32_t splat = visible.order[static_cast<size_t>(i)];
          for_each_tile(visible.footprints[splat], grid, [&](uint32_t tile) {
            ++counts[tile];
            list.push_back({tile, splat});
          });
        }
      },
      threads);

  TileBins bins;
  bins.first.resize(tiles + 1);
  int64_t sum = 0;
  for (size_t tile = 0; tile < tiles; ++tile) {
    bins.first[tile] = sum;
    for (auto& counts : next) sum += std::exchange(counts[tile], sum);
  }
  bins.first[tiles] = sum;
  bins.ids.reset(new uint32_t[static_cast<size_t>(sum)]);
  parallel_for(
      static_cast<int64_t>(parts),
      [&](int64_t part) {
        int64_t* place = next[static_cast<size_t>(part)].data();
        for (const TileEntry& entry : entries[static_cast<size_t>(part)])
          bins.ids[static_cast<size_t>(place[entry.tile]++)] = entry.splat;
      },
      threads);
  return bins;
}

}  // namespace scenepress
