// Which splats touch which tile of an image, nearest first.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/raster.h"

namespace scenepress {

struct TileGrid {
  int columns, rows;
  explicit TileGrid(const Pinhole& camera)
      : columns(tiles_across(camera.width)), rows(tiles_across(camera.height)) {}
  int64_t count() const { return static_cast<int64_t>(columns) * rows; }
  int left(int64_t tile) const { return static_cast<int>(tile % columns) * kTile; }
  int top(int64_t tile) const { return static_cast<int>(tile / columns) * kTile; }
};

// The splats that one camera can see.
struct VisibleSplats {
  std::unique_ptr<Footprint[]> footprints;  // at the splat's own index; set only for the visible ones
  std::vector<uint32_t> order;              // visible splats, by depth, then by index
  int64_t tiles;                            // sum of Footprint::tiles
};

// shapes: of all splats, where they are known already, else null.
VisibleSplats find_visible(const SplatArrays& splats, const SplatShape* shapes, const Pinhole& camera,
                           const RasterKernels& kernels, int threads);

// Splats order[begin..end) sorted into tiles: those of tile t are ids[first[t]..first[t + 1]), nearest first.
struct TileBins {
  std::vector<int64_t> first;  // tiles + 1
  std::unique_ptr<uint32_t[]> ids;
};

TileBins sort_into_tiles(const VisibleSplats& visible, int64_t begin, int64_t end, const TileGrid& grid,
                         const RasterKernels& kernels, int threads);

// An empty tile: pixels outside the image count as finished.
void clear_tile(const Pinhole& camera, int left, int top, TilePixels* pixels);

// The pixels of a tile into the images [height, width, 3] and [height, width], over a background.
void write_tile(const TilePixels& pixels, const Pinhole& camera, int left, int top, const float* background,
                float* color, float* alpha);

// The end of the longest run from `begin` whose tile bounds hold at most `budget` tiles (at least one splat): what
// keeps memory bounded when a scene is full of splats larger than the image.
int64_t next_slice(const VisibleSplats& visible, int64_t begin, int64_t budget);

}  // namespace scenepress
