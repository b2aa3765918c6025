// CUDA launcher of deformation fields: docs/dynamic.md, one thread a splat.
#pragma once

#include <cstdint>

#include "core/deformation.h"

namespace scenepress {

// Host pointers, also in `field`; out [n, field.outputs]. planes, weights: how many floats there are of each, from
// the first plane and the first weight on.
void deform_cuda(const DeformationField& field, int64_t planes, int64_t weights, const float* means, int64_t n,
                 float time, float* out);

}  // namespace scenepress
