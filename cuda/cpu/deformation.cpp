#include "cpu/deformation.h"

#include <algorithm>

#include "cpu/cpu_features.h"
#include "cpu/parallel.h"

namespace scenepress {

void deform(const DeformationField& field, const float* means, int64_t n, float time, bool portable, int threads,
            float* out) {
  const DeformBlock fast = has_avx2_fma() && !portable ? avx2_deform_block() : nullptr;
  const DeformBlock block = fast ? fast : portable_deform_block();
  const int64_t blocks = (n + kDeformBlock - 1) / kDeformBlock;
  parallel_for(
      blocks,
      [&](int64_t b) {
        const int64_t begin = b * kDeformBlock, count = std::min(kDeformBlock, n - begin);
        block(field, means + 3 * begin, count, time, out + begin * field.outputs);
      },
      threads);
}

}  // namespace scenepress
