// The CPU rasteriser with a way back: an image, what it was made of, and the gradient of any loss of it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/gradient.h"
#include "cpu/raster.h"
#include "cpu/raster_bins.h"

namespace scenepress {

// What a forward pass leaves for the backward pass. Splats and image must be the same ones there.
class RasterFrame {
 public:
  // Writes color and alpha. Throws std::bad_alloc if the tiles' lists would take more than the tile budget.
  RasterFrame(const SplatArrays& splats, const Pinhole& camera, const float* background,
              const RasterOptions& options, float* color, float* alpha);

  // gradients: [count], zeros for splats not seen; shN: [count, (degree + 1)^2 - 1, 3]. Does not depend on the
  // number of threads.
  void backward(const SplatArrays& splats, const RasterImage& image, const RasterImage& by,
                const RasterOptions& options, const GradientArrays& out) const;

  int64_t count() const { return count_; }
  const Pinhole& camera() const { return camera_; }

 private:
  void differentiate_tile(int64_t tile, const RasterImage& image, const RasterImage& by,
                          const RasterOptions& options, float* sums) const;
  // Where bins_.ids lists each splat: for splat i, (*first)[i] up to (*first)[i + 1] of the result.
  std::vector<uint32_t> places(std::vector<int64_t>* first) const;

  Pinhole camera_;
  int64_t count_;
  TileGrid grid_;
  VisibleSplats visible_;
  TileBins bins_;
};

}  // namespace scenepress
