#include "cpu/image_loss_kernels.h"

namespace scenepress {

const LossKernels& portable_loss_kernels() {
  static const LossKernels kernels{window_row, spread_row};
  return kernels;
}

}  // namespace scenepress
