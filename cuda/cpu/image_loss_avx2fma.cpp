// Nothing of the standard library is called here but memcpy and memset: see raster_avx2fma.cpp.
#include "cpu/image_loss_kernels.h"

namespace scenepress {

const LossKernels* avx2_loss_kernels() {
#if defined(__AVX2__) && defined(__FMA__)
  static const LossKernels kernels{window_row, spread_row};
  return &kernels;
#else
  return nullptr;
#endif
}

}  // namespace scenepress
