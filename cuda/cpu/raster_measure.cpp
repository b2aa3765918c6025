// Sensitivity of rendered views to each splat: one thread a view, two passes over its tiles.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/raster.h"
#include "cpu/raster_bins.h"
#include "cpu/raster_kernels.h"

namespace scenepress {
namespace {

constexpr int64_t kBatchBytes = int64_t{1} << 30;  // for the sums of the views at work, unless one needs more

// Calls body(tile, left, top, ids, count) for every tile of every slice, in order.
class TileWalk {
 public:
  TileWalk(const VisibleSplats& visible, const TileGrid& grid, const RasterOptions& options)
      : visible_(visible), grid_(grid), options_(options) {}

  template <typename Body>
  void run(Body body) {
    const int64_t count = static_cast<int64_t>(visible_.order.size());
    for (int64_t begin = 0; begin < count;) {
      const int64_t end = next_slice(visible_, begin, options_.tile_budget);
      const bool whole = begin == 0 && end == count;
      if (!whole || bins_.first.empty()) bins_ = sort_into_tiles(visible_, begin, end, grid_, options_.kernels, 1);
      for (int64_t tile = 0; tile < grid_.count(); ++tile) {
        const int64_t first = bins_.first[static_cast<size_t>(tile)];
        body(tile, static_cast<float>(grid_.left(tile)), static_cast<float>(grid_.top(tile)),
             bins_.ids.get() + first, bins_.first[static_cast<size_t>(tile) + 1] - first);
      }
      begin = end;
    }
  }

 private:
  const VisibleSplats& visible_;
  const TileGrid& grid_;
  const RasterOptions& options_;
  TileBins bins_;
};

// From the pixels that blend_tile() left to what measure_tile() starts with.
void begin_measuring(const Pinhole& camera, int left, int top, const Backdrop& backdrop, MeasuredTile* tile) {
  const float deviation = std::sqrt(3.f) * backdrop.deviation;  // of all three channels together
  TilePixels fresh;
  clear_tile(camera, left, top, &fresh);
  const TilePixels& finished = tile->pixels;
  for (int i = 0; i < kTilePixels; ++i) {
    const float rest = std::fabs(finished.transmittance[i]);
    fresh.r[i] = finished.r[i] + rest * backdrop.mean[0];
    fresh.g[i] = finished.g[i] + rest * backdrop.mean[1];
    fresh.b[i] = finished.b[i] + rest * backdrop.mean[2];
    tile->unsure[i] = rest * deviation;
  }
  tile->pixels = fresh;
}

// sums: [splats.count], zero on entry.
void measure_view(const SplatArrays& splats, const SplatShape* shapes, const Pinhole& camera,
                  const Backdrop& backdrop, const RasterOptions& options, PixelSums* sums) {
  const TileGrid grid(camera);
  const VisibleSplats visible = find_visible(splats, shapes, camera, options.kernels, 1);
  const Footprint* footprints = visible.footprints.get();
  const std::unique_ptr<MeasuredTile[]> tiles(new MeasuredTile[static_cast<size_t>(grid.count())]);
  for (int64_t tile = 0; tile < grid.count(); ++tile)
    clear_tile(camera, grid.left(tile), grid.top(tile), &tiles[static_cast<size_t>(tile)].pixels);
  TileWalk walk(visible, grid, options);
  walk.run([&](int64_t tile, float left, float top, const uint32_t* ids, int64_t count) {
    options.kernels.blend_tile(footprints, ids, count, left, top, &tiles[static_cast<size_t>(tile)].pixels);
  });
  for (int64_t tile = 0; tile < grid.count(); ++tile)
    begin_measuring(camera, grid.left(tile), grid.top(tile), backdrop, &tiles[static_cast<size_t>(tile)]);
  walk.run([&](int64_t tile, float left, float top, const uint32_t* ids, int64_t count) {
    options.kernels.measure_tile(footprints, ids, count, left, top, &tiles[static_cast<size_t>(tile)], sums);
  });
}

}  // namespace

void measure_cpu(const SplatArrays& splats, const Pinhole* cameras, int64_t views, const Backdrop& backdrop,
                 const RasterOptions& options, double* out) {
  std::fill(out, out + splats.count * kSensitivities, 0.);
  const int64_t bytes = std::max<int64_t>(splats.count, 1) * static_cast<int64_t>(sizeof(PixelSums));
  const int64_t batch = std::clamp<int64_t>(kBatchBytes / bytes, 1, options.threads);
  constexpr int64_t kChunk = 4096;
  const int64_t chunks = (splats.count + kChunk - 1) / kChunk;
  const std::unique_ptr<SplatShape[]> shapes(new SplatShape[static_cast<size_t>(splats.count)]);
  parallel_for(
      chunks,
      [&](int64_t chunk) {
        const int64_t end = std::min((chunk + 1) * kChunk, splats.count);
        for (int64_t i = chunk * kChunk; i < end; ++i) shape_of(splats, i, &shapes[static_cast<size_t>(i)]);
      },
      options.threads);
  std::vector<std::vector<PixelSums>> sums(static_cast<size_t>(std::min(batch, views)));
  for (int64_t first = 0; first < views; first += batch) {
    const int64_t count = std::min(batch, views - first);
    parallel_for(
        count,
        [&](int64_t v) {
          auto& own = sums[static_cast<size_t>(v)];
          own.assign(static_cast<size_t>(splats.count), PixelSums{});
          measure_view(splats, shapes.get(), cameras[first + v], backdrop, options, own.data());
        },
        options.threads);
    parallel_for(
        chunks,
        [&](int64_t chunk) {
          const int64_t end = std::min((chunk + 1) * kChunk, splats.count);
          for (int64_t v = 0; v < count; ++v)
            options.kernels.add_sums(splats, shapes.get(), chunk * kChunk, end, cameras[first + v],
                                     sums[static_cast<size_t>(v)].data(), out);
        },
        options.threads);
  }
}

}  // namespace scenepress
