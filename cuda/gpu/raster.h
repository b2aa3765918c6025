// The CUDA rasteriser: the rules and the arithmetic of core/, launched on a device. Host pointers in and out.
#pragma once

#include "core/blend.h"

namespace scenepress {

int cuda_device_count();  // 0 where there is no driver

// color: [height, width, 3], alpha: [height, width]. std::runtime_error for anything CUDA reports, memory
// included.
void rasterize_cuda(const SplatArrays& splats, const Pinhole& camera, const float* background, float* color,
                    float* alpha);

}  // namespace scenepress
