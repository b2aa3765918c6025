#include "cpu/raster_bins.h"

#include <algorithm>
#include <utility>

#include "cpu/parallel.h"
#include "cpu/raster_kernels.h"

namespace scenepress {
namespace {

constexpr int64_t kChunk = 4096;  // splats a thread takes at a time

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

}  // namespace

VisibleSplats find_visible(const SplatArrays& splats, const SplatShape* shapes, const Pinhole& camera,
                           const RasterKernels& kernels, int threads) {
  VisibleSplats out;
  const size_t count = static_cast<size_t>(splats.count);
  out.footprints.reset(new Footprint[count]);
  const std::unique_ptr<DepthKey[]> found(new DepthKey[count]);
  const int64_t chunks = (splats.count + kChunk - 1) / kChunk;
  std::vector<VisibleCount> counts(static_cast<size_t>(chunks));
  parallel_for(
      chunks,
      [&](int64_t c) {
        const int64_t begin = c * kChunk, end = std::min(begin + kChunk, splats.count);
        counts[static_cast<size_t>(c)] =
            kernels.make_footprints(splats, shapes, begin, end, camera, out.footprints.get(), found.get() + begin);
      },
      threads);

  std::vector<DepthKey> keys;
  keys.reserve(count);
  out.tiles = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    const DepthKey* first = found.get() + c * kChunk;
    keys.insert(keys.end(), first, first + counts[static_cast<size_t>(c)].splats);
    out.tiles += counts[static_cast<size_t>(c)].tiles;
  }
  radix_sort(keys);
  out.order.resize(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) out.order[i] = keys[i].splat;
  return out;
}

void clear_tile(const Pinhole& camera, int left, int top, TilePixels* pixels) {
  for (int i = 0; i < kTilePixels; ++i) {
    const bool inside = left + i / kTile < camera.width && top + i % kTile < camera.height;
    pixels->transmittance[i] = inside ? 1.f : -1.f;
    pixels->r[i] = pixels->g[i] = pixels->b[i] = 0.f;
  }
}

int64_t next_slice(const VisibleSplats& visible, int64_t begin, int64_t budget) {
  const int64_t count = static_cast<int64_t>(visible.order.size());
  if (begin == 0 && visible.tiles <= budget) return count;
  int64_t tiles = 0, end = begin;
  for (; end < count; ++end) {
    tiles += visible.footprints[visible.order[static_cast<size_t>(end)]].tiles;
    if (tiles > budget && end > begin) break;
  }
  return end;
}

TileBins sort_into_tiles(const VisibleSplats& visible, int64_t begin, int64_t end, const TileGrid& grid,
                         const RasterKernels& kernels, int threads) {
  // A counting sort: parts of the depth order list their tiles, then scatter them, part after part within a tile.
  const size_t tiles = static_cast<size_t>(grid.count());
  const int64_t parts = std::clamp<int64_t>((end - begin) / kChunk, 1, threads > 1 ? 4 * threads : 1);
  struct Part {
    std::unique_ptr<TileEntry[]> entries;
    int64_t length;
    std::vector<int64_t> next;  // a tile's count, later the place of its next entry
  };
  std::vector<Part> list(static_cast<size_t>(parts));
  parallel_for(
      parts,
      [&](int64_t p) {
        Part& part = list[static_cast<size_t>(p)];
        const int64_t first = begin + (end - begin) * p / parts, last = begin + (end - begin) * (p + 1) / parts;
        const uint32_t* splats = visible.order.data() + first;
        size_t room = 0;
        for (int64_t i = 0; i < last - first; ++i) room += visible.footprints[splats[i]].tiles;
        part.entries.reset(new TileEntry[room]);
        part.next.assign(tiles, 0);
        part.length = kernels.list_tiles(visible.footprints.get(), splats, last - first, grid.columns, grid.rows,
                                         part.entries.get(), part.next.data());
      },
      threads);

  TileBins bins;
  bins.first.resize(tiles + 1);
  int64_t sum = 0;
  for (size_t tile = 0; tile < tiles; ++tile) {
    bins.first[tile] = sum;
    for (Part& part : list) sum += std::exchange(part.next[tile], sum);
  }
  bins.first[tiles] = sum;
  bins.ids.reset(new uint32_t[static_cast<size_t>(sum)]);
  parallel_for(
      parts,
      [&](int64_t p) {
        Part& part = list[static_cast<size_t>(p)];
        for (int64_t i = 0; i < part.length; ++i) {
          const TileEntry entry = part.entries[static_cast<size_t>(i)];
          bins.ids[static_cast<size_t>(part.next[entry.tile]++)] = entry.splat;
        }
      },
      threads);
  return bins;
}

}  // namespace scenepress
