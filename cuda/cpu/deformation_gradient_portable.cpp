#include "cpu/deformation_gradient_kernels.h"

namespace scenepress {

GradientBlock portable_gradient_block() { return gradient_block; }

}  // namespace scenepress
