#include "cpu/deformation_gradient.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "cpu/deformation_gradient_kernels.h"

namespace scenepress {

GradientBlock avx2_gradient_block() { return gradient_block; }

}  // namespace scenepress
#else
namespace scenepress {

GradientBlock avx2_gradient_block() { return nullptr; }

}  // namespace scenepress
#endif
