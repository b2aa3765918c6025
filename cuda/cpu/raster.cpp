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

void write_tile(const TilePixels& pixels, const Pinhole& camera, int left, int top, const float* background,
                float* color, float* alpha) {
  const int columns = std::min(kTile, camera.width - left), rows = std::min(kTile, camera.height - top);
  for (int row = 0; row < rows; ++row) {
    const int64_t at = static_cast<int64_t>(top + row) * camera.width + left;
    for (int column = 0; column < columns; ++column) {
      const int i = column * kTile + row;
      const float rest = std::fabs(pixels.transmittance[i]);
      float* out = color + 3 * (at + column);
      out[0] = pixels.r[i] + rest * background[0];
      out[1] = pixels.g[i] + rest * background[1];
      out[2] = pixels.b[i] + rest * background[2];
      alpha[at + column] = 1.f - rest;
    }
  }
}

const RasterKernels& raster_kernels(bool portable) {
  const RasterKernels* fast = has_avx2_fma() && !portable ? avx2_raster_kernels() : nullptr;
  return fast ? *fast : portable_raster_kernels();
}

void rasterize_cpu(const SplatArrays& splats, const Pinhole& camera, const float* background,
                   const RasterOptions& options, float* color, float* alpha) {
  const TileGrid grid(camera);
  const VisibleSplats visible = find_visible(splats, nullptr, camera, options.kernels, options.threads);
  const int64_t count = static_cast<int64_t>(visible.order.size());
  std::unique_ptr<TilePixels[]> kept;  // tiles between slices; nearly always there is one slice and no need
  int64_t begin = 0;
  do {
    const int64_t end = next_slice(visible, begin, options.tile_budget);
    const TileBins bins = sort_into_tiles(visible, begin, end, grid, options.kernels, options.threads);
    if (end < count && !kept) kept.reset(new TilePixels[static_cast<size_t>(grid.count())]);
    parallel_for(
        grid.count(),
        [&](int64_t tile) {
          TilePixels own;
          TilePixels* pixels = kept ? &kept[static_cast<size_t>(tile)] : &own;
          const int left = grid.left(tile);
          const int top = grid.top(tile);
          if (begin == 0) clear_tile(camera, left, top, pixels);
          const int64_t first = bins.first[static_cast<size_t>(tile)];
          options.kernels.blend_tile(visible.footprints.get(), bins.ids.get() + first,
                                     bins.first[static_cast<size_t>(tile) + 1] - first, static_cast<float>(left),
                                     static_cast<float>(top), pixels);
          if (end == count) write_tile(*pixels, camera, left, top, background, color, alpha);
        },
        options.threads);
    begin = end;
  } while (begin < count);
}

}  // namespace scenepress
