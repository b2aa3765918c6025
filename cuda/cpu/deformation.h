// Deformation fields over many splats: core/deformation.h.
#pragma once

#include <cstdint>

#include "core/deformation.h"

namespace scenepress {

// means [n, 3]; out [n, field.outputs]: what is added to the attributes, head by head.
void deform(const DeformationField& field, const float* means, int64_t n, float time, bool portable, int threads,
            float* out);

// The inner loop for one instruction set: deformation_kernels.h.
using DeformBlock = void (*)(const DeformationField& field, const float* means, int64_t n, float time, float* out);
constexpr int64_t kDeformBlock = 64;  // Splats at most that it is called for.

DeformBlock portable_deform_block();
DeformBlock avx2_deform_block();  // null where the build has none

}  // namespace scenepress
