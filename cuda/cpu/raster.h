// The CPU rasteriser: tiles of 16x16 px, splats blended front to back, threads over tiles.
#pragma once

#include <cstdint>

#include "core/blend.h"
#include "core/sensitivity.h"

namespace scenepress {

struct TilePixels;
struct TileGradients;
struct MeasuredTile;

// A visible splat; the bits of a positive float order like the float.
struct DepthKey {
  uint32_t depth, splat;
};

struct VisibleCount {
  int64_t splats, tiles;
};

struct TileEntry {
  uint32_t tile, splat;
};

// The inner loops for one instruction set: raster_kernels.h has them and says what they do.
struct RasterKernels {
  VisibleCount (*make_footprints)(const SplatArrays&, const SplatShape* shapes, int64_t begin, int64_t end,
                                  const Pinhole&, Footprint*, DepthKey* visible);
  int64_t (*list_tiles)(const Footprint*, const uint32_t* splats, int64_t count, int columns, int rows,
                        TileEntry* list, int64_t* counts);
  void (*blend_tile)(const Footprint*, const uint32_t* ids, int64_t count, float left, float top, TilePixels*);
  void (*measure_tile)(const Footprint*, const uint32_t* ids, int64_t count, float left, float top, MeasuredTile*,
                       PixelSums*);
  void (*add_sums)(const SplatArrays&, const SplatShape* shapes, int64_t begin, int64_t end, const Pinhole&,
                   const PixelSums*, double* out);
  void (*differentiate_tile)(const Footprint*, const uint32_t* ids, int64_t count, float left, float top,
                             TileGradients*, float* sums);
};

const RasterKernels& portable_raster_kernels();
const RasterKernels* avx2_raster_kernels();  // null where the build has none

constexpr int64_t kTileBudget = 32 << 20;  // 400 MB

// The fastest kernels of this machine, or the portable ones.
const RasterKernels& raster_kernels(bool portable);

// How to work; no result depends on it but for rounding between kernels.
struct RasterOptions {
  const RasterKernels& kernels;
  int threads;
  // Pairs of splat and tile in memory at a time, 12 bytes each; splats beyond are drawn in further passes.
  int64_t tile_budget = kTileBudget;
};

// color: [height, width, 3], alpha: [height, width].
void rasterize_cpu(const SplatArrays& splats, const Pinhole& camera, const float* background,
                   const RasterOptions& options, float* color, float* alpha);

constexpr int kSensitivities = 4 + kShapeSlots;

// What is known of the background: the mean of each channel, and the standard deviation that all three have.
// Squared changes are means over it. With colour C and alpha A, the change dC - B dA of a channel over background
// B has the mean square (dC - mean dA)^2 + deviation^2 dA^2.
struct Backdrop {
  float mean[3];
  float deviation;
};

// out: [count, kSensitivities], set: sums over all views and pixels of alpha * transmittance, of its square, its
// largest value, then the squared changes of colour with ln opacity and with the shape slots of
// core/sensitivity.h. Does not depend on `threads`: views are summed in order.
void measure_cpu(const SplatArrays& splats, const Pinhole* cameras, int64_t views, const Backdrop& backdrop,
                 const RasterOptions& options, double* out);

}  // namespace scenepress
