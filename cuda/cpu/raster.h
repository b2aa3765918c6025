// The CPU rasteriser: tiles of 16x16 px, splats blended front to back, threads over tiles.
#pragma once

#include <cstdint>

#include "core/blend.h"

namespace scenepress {

struct TilePixels;

// The inner loops for one instruction set.
struct RasterKernels {
  int64_t (*make_footprints)(const SplatArrays&, int64_t begin, int64_t end, const Pinhole&, Footprint*,
                             uint32_t* visible);
  void (*blend_tile)(const Footprint*, const uint32_t* ids, int64_t count, float left, float top, TilePixels*);
};

const RasterKernels& portable_raster_kernels();
const RasterKernels* avx2_raster_kernels();  // null where the build has none

// The fastest kernels of this machine, or the portable ones.
const RasterKernels& raster_kernels(bool portable);

// color: [height, width, 3], alpha: [height, width]. The pixels do not depend on `threads`.
void rasterize_cpu(const SplatArrays& splats, const Pinhole& camera, const float* background,
                   const RasterKernels& kernels, int threads, float* color, float* alpha);

}  // namespace scenepress
