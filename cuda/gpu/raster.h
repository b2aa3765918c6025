// The CUDA rasteriser: the rules and the arithmetic of core/, launched on a device. Host pointers in and out.
#pragma once

#include "core/blend.h"
#include "core/gradient.h"

namespace scenepress {

int cuda_device_count();  // 0 where there is no driver

// color: [height, width, 3], alpha: [height, width]. std::runtime_error for anything CUDA reports, memory
// included.
void rasterize_cuda(const SplatArrays& splats, const Pinhole& camera, const float* background, float* color,
                    float* alpha);

// The derivatives of a loss of that image, as RasterFrame::backward of the CPU gives them: `image` is what
// rasterize_cuda() made of the same scene, `by` the loss's derivatives with respect to it.
void differentiate_cuda(const SplatArrays& splats, const Pinhole& camera, const RasterImage& image,
                        const RasterImage& by, const GradientArrays& out);

}  // namespace scenepress
