#include "cpu/learned_kernels.h"

namespace scenepress {

const LearnedKernels* avx2_learned_kernels() {
#if defined(__AVX2__)
  static const LearnedKernels kernels{linear_predictions, residual_features, learned_predictions};
  return &kernels;
#else
  return nullptr;
#endif
}

}  // namespace scenepress
