#include "cpu/deformation.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "cpu/deformation_kernels.h"

namespace scenepress {

DeformBlock avx2_deform_block() { return deform_block; }

}  // namespace scenepress
#else
namespace scenepress {

DeformBlock avx2_deform_block() { return nullptr; }

}  // namespace scenepress
#endif
