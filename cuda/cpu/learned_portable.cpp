#include "cpu/learned_kernels.h"

namespace scenepress {

const LearnedKernels& portable_learned_kernels() {
  static const LearnedKernels kernels{linear_predictions, residual_features, learned_predictions};
  return kernels;
}

}  // namespace scenepress
