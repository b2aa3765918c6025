#include "cpu/deformation.h"

#include "bindings/deformation_arrays.h"
#include "cpu/parallel.h"

namespace scenepress {
namespace {

Array<float> deform_means(Input1<float> planes, Input2<int64_t> levels, Input2<float> bounds,
                          Input1<float> weights, Input2<int64_t> trunk, Input2<int64_t> heads, Input2<float> means,
                          float time, bool portable, int threads) {
  check(means.shape(1) == 3, "deformation: means [N, 3]");
  const DeformationField field = field_of({planes, levels, bounds, weights, trunk, heads});
  auto out = new_array<float>({means.shape(0), size_t(field.outputs)});
  without_gil([&] {
    deform(field, means.data(), int64_t(means.shape(0)), time, portable, threads > 0 ? threads : thread_count(),
           out.data());
  });
  return out;
}

}  // namespace
}  // namespace scenepress

void bind_deformation(nanobind::module_& m) { m.def("deform", &scenepress::deform_means); }
