#include "cpu/adam.h"

#include <stdexcept>

#include "bindings/arrays.h"
#include "cpu/parallel.h"

namespace scenepress {
namespace {

// In place. values, gradient, first, second: float32 [N, D]; seen: uint8 [N].
void update(Output2<float> values, Input2<float> gradient, Output2<float> first, Output2<float> second,
            Input1<uint8_t> seen, float rate, float beta1, float beta2, float epsilon, int64_t step) {
  const size_t n = values.shape(0), width = values.shape(1);
  const auto fits = [&](const auto& a) { return a.shape(0) == n && a.shape(1) == width; };
  if (!fits(gradient) || !fits(first) || !fits(second) || seen.shape(0) != n)
    throw std::invalid_argument("adam: lengths differ");
  if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 && epsilon > 0) || step < 1)
    throw std::invalid_argument("adam: settings out of range");
  const AdamRows rows{values.data(), gradient.data(), first.data(), second.data(), int64_t(n), int64_t(width)};
  without_gil([&] { adam(rows, seen.data(), {rate, beta1, beta2, epsilon, step}, thread_count()); });
}

}  // namespace
}  // namespace scenepress

void bind_adam(nanobind::module_& m) { m.def("adam", &scenepress::update); }
