#include "cpu/deformation_gradient.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/cpu_features.h"
#include "cpu/parallel.h"

namespace scenepress {
namespace {

// Each has sums of its own, added up in their order: what comes out is the same for any number of threads.
constexpr int64_t kParts = 4;
constexpr int64_t kChunk = 1 << 14;

bool any(const float* values, int64_t count) {
  return std::any_of(values, values + count, [](float v) { return v != 0.f; });
}

}  // namespace

int64_t gradient_scratch(const DeformationField& field) {
  int64_t rows = field.features + 4 * int64_t{kMostWidth};
  for (int32_t l = 0; l < field.layers; ++l) rows += field.trunk[l].outputs;
  return rows * kDeformBlock;
}

void differentiate_field(const FlatField& flat, const float* means, int64_t n, float time, const float* by_out,
                         bool portable, int threads, float* by_planes, float* by_weights, float* by_means) {
  const GradientBlock fast = has_avx2_fma() && !portable ? avx2_gradient_block() : nullptr;
  const GradientBlock block = fast ? fast : portable_gradient_block();
  const int64_t outputs = flat.field.outputs, count = flat.plane_count + flat.weight_count;
  std::vector<std::unique_ptr<float[]>> sums(kParts);
  std::vector<char> used(kParts, 0);
  const int64_t blocks = (n + kDeformBlock - 1) / kDeformBlock;
  parallel_for(
      kParts,
      [&](int64_t part) {
        const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(gradient_scratch(flat.field))]);
        for (int64_t b = part * blocks / kParts; b < (part + 1) * blocks / kParts; ++b) {
          const int64_t begin = b * kDeformBlock, many = std::min(kDeformBlock, n - begin);
          // Splats that no pixel saw pull at nothing.
          if (!any(by_out + begin * outputs, many * outputs)) {
            std::fill_n(by_means + 3 * begin, 3 * many, 0.f);
            continue;
          }
          if (!used[static_cast<size_t>(part)])
            sums[static_cast<size_t>(part)].reset(new float[static_cast<size_t>(count)]());
          used[static_cast<size_t>(part)] = 1;
          float* own = sums[static_cast<size_t>(part)].get();
          block(flat, means + 3 * begin, many, time, by_out + begin * outputs, scratch.get(), own,
                own + flat.plane_count, by_means + 3 * begin);
        }
      },
      threads);
  parallel_for((count + kChunk - 1) / kChunk,
               [&](int64_t chunk) {
                 for (int64_t i = chunk * kChunk; i < std::min(count, (chunk + 1) * kChunk); ++i) {
                   float sum = 0.f;
                   for (const auto& part : sums)
                     if (part) sum += part[static_cast<size_t>(i)];
                   (i < flat.plane_count ? by_planes[i] : by_weights[i - flat.plane_count]) = sum;
                 }
               },
               threads);
}

}  // namespace scenepress
