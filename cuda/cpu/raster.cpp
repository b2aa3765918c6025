#include "cpu/raster.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cpu/cpu_features.h"
#include "cpu/parallel.h"
#include "cpu/raster_bins.h"
#include "cpu/raster_kernels.h"

namespace scenepress {
namespace {

constexpr int64_t kSliceTiles = 32 << 20;  // at most this many tile entries in memory at a time: 400 MB

void clear_tile(const Pinhole& camera, int left, int top, TilePixels* pixels) {
  for (int i = 0; i < kTilePixels; ++i) {
    const bool inside = left + i % kTile < camera.width && top + i / kTile < camera.height;
    pixels->transmittance[i] = inside ? 1.f : -1.f;
    pixels->r[i] = pixels->g[i] = pixels->b[i] = 0.f;
  }
}

void write_tile(const TilePixels& pixels, const Pinhole& camera, int left, int top, const float* background,
                float* color, float* alpha) {
  const int columns = std::min(kTile, camera.width - left), rows = std::min(kTile, camera.height - top);
  for (int row = 0; row < rows; ++row) {
    const int64_t at = static_cast<int64_t>(top + row) * camera.width + left;
    for (int column = 0; column < columns; ++column) {
      const int i = row * kTile + column;
      const float rest = std::fabs(pixels.transmittance[i]);
      float* out = color + 3 * (at + column);
      out[0] = pixels.r[i] + rest * background[0];
      out[1] = pixels.g[i] + rest * background[1];
      out[2] = pixels.b[i] + rest * background[2];
      alpha[at + column] = 1.f - rest;
    }
  }
}

}  // namespace

const RasterKernels& raster_kernels(bool portable) {
  const RasterKernels* fast = has_avx2_fma() && !portable ? avx2_raster_kernels() : nullptr;
  return fast ? *fast : portable_raster_kernels();
}

void rasterize_cpu(const SplatArrays& splats, const Pinhole& camera, const float* background,
                   const RasterKernels& kernels, int threads, float* color, float* alpha) {
  const TileGrid grid(camera);
  const VisibleSplats visible = find_visible(splats, camera, kernels, threads);
  const int64_t count = static_cast<int64_t>(visible.order.size());
  std::unique_ptr<TilePixels[]> kept;  // tiles between slices; nearly always there is one slice and no need
  int64_t begin = 0;
  do {
    const int64_t end = next_slice(visible, begin, grid, kSliceTiles);
    const TileBins bins = sort_into_tiles(visible, begin, end, grid, threads);
    if (end < count && !kept) kept.reset(new TilePixels[static_cast<size_t>(grid.count())]);
    parallel_for(
        grid.count(),
        [&](int64_t tile) {
          TilePixels own;
          TilePixels* pixels = kept ? &kept[static_cast<size_t>(tile)] : &own;
          const int left = static_cast<int>(tile % grid.columns) * kTile;
          const int top = static_cast<int>(tile / grid.columns) * kTile;
          if (begin == 0) clear_tile(camera, left, top, pixels);
          const int64_t first = bins.first[static_cast<size_t>(tile)];
          kernels.blend_tile(visible.footprints.get(), bins.ids.get() + first,
                             bins.first[static_cast<size_t>(tile) + 1] - first, static_cast<float>(left),
                             static_cast<float>(top), pixels);
          if (end == count) write_tile(*pixels, camera, left, top, background, color, alpha);
        },
        threads);
    begin = end;
  } while (begin < count);
}

}  // namespace scenepress
