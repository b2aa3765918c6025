#include "cpu/deformation.h"

#include "bindings/deformation_arrays.h"
#include "cpu/deformation_gradient.h"
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

// Derivatives by_out [N, outputs] -> with respect to planes and weights, flat, and means [N, 3].
nb::tuple differentiate(Input1<float> planes, Input2<int64_t> levels, Input2<float> bounds, Input1<float> weights,
                        Input2<int64_t> trunk, Input2<int64_t> heads, Input2<float> means, float time,
                        Input2<float> by_out, bool portable, int threads) {
  check(means.shape(1) == 3, "deformation: means [N, 3]");
  const FlatField flat{field_of({planes, levels, bounds, weights, trunk, heads}), planes.data(), weights.data(),
                       int64_t(planes.shape(0)), int64_t(weights.shape(0))};
  check(by_out.shape(0) == means.shape(0) && by_out.shape(1) == size_t(flat.field.outputs),
        "deformation: derivatives of another shape");
  auto by_planes = new_array<float>({planes.shape(0)}), by_weights = new_array<float>({weights.shape(0)});
  auto by_means = new_array<float>({means.shape(0), 3});
  without_gil([&] {
    differentiate_field(flat, means.data(), int64_t(means.shape(0)), time, by_out.data(), portable,
                        threads > 0 ? threads : thread_count(), by_planes.data(), by_weights.data(),
                        by_means.data());
  });
  return nb::make_tuple(by_planes, by_weights, by_means);
}

}  // namespace
}  // namespace scenepress

void bind_deformation(nanobind::module_& m) {
  m.def("deform", &scenepress::deform_means);
  m.def("differentiate_field", &scenepress::differentiate);
}
