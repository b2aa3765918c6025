// Derivatives of a loss with respect to a deformation field: what training needs. core/deformation.h has the
// field.
#pragma once

#include <cstdint>

#include "cpu/deformation.h"

namespace scenepress {

// A field and the flat arrays that its pointers lead into.
struct FlatField {
  DeformationField field;
  const float *planes, *weights;
  int64_t plane_count, weight_count;
};

// by_out [n, outputs]: derivatives with respect to what deform() gives. Written, and of the shapes of what they
// are with respect to: by_planes [plane_count], by_weights [weight_count], by_means [n, 3]. Does not depend on
// threads.
void differentiate_field(const FlatField& flat, const float* means, int64_t n, float time, const float* by_out,
                         bool portable, int threads, float* by_planes, float* by_weights, float* by_means);

// Adds to by_planes and by_weights; scratch: gradient_scratch(field) floats.
using GradientBlock = void (*)(const FlatField& flat, const float* means, int64_t n, float time,
                               const float* by_out, float* scratch, float* by_planes, float* by_weights,
                               float* by_means);
int64_t gradient_scratch(const DeformationField& field);

GradientBlock portable_gradient_block();
GradientBlock avx2_gradient_block();  // null where the build has none

}  // namespace scenepress
