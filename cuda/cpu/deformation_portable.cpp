#include "cpu/deformation_kernels.h"

namespace scenepress {

DeformBlock portable_deform_block() { return deform_block; }

}  // namespace scenepress
