#include "cpu/shape.h"

#include "bindings/arrays.h"

namespace scenepress {
namespace {

void check_classes(const Input1<uint8_t>& classes, size_t count) {
  bool fine = true;
  for (size_t i = 0; i < classes.shape(0); ++i) fine &= classes.data()[i] < count;
  check(fine, "class out of range");
}

Array<int32_t> expand(Input2<int32_t> coded, int64_t origin, Input1<int32_t> widths) {
  check(widths.shape(0) == kSizes, "expand_scales: 16 widths are needed");
  ScaleCurve curve{};
  curve.origin = origin;
  for (int i = 0; i < kSizes; ++i) {
    check(widths.data()[i] > 0, "expand_scales: widths must be positive");
    curve.width[i] = widths.data()[i];
    curve.start[i + 1] = curve.start[i] + curve.width[i];
  }
  auto out = new_array<int32_t>({coded.shape(0), coded.shape(1)});
  without_gil([&] { expand_scales(coded.data(), int64_t(coded.size()), curve, out.data()); });
  return out;
}

Array<int32_t> steps(Input1<uint8_t> base, Input1<uint8_t> gain, Input1<uint8_t> lift, int64_t origin,
                     Input1<uint8_t> classes, Input2<int32_t> scales) {
  const size_t n = classes.shape(0);
  check(scales.shape(0) == 3 && scales.shape(1) == n && gain.shape(0) == kKnots && lift.shape(0) == kSizes,
        "rotation_steps: wrong lengths");
  check_classes(classes, base.shape(0));
  auto out = new_array<int32_t>({3, n});
  const RotationSteps s{base.data(), gain.data(), lift.data(), origin};
  without_gil([&] { rotation_steps(s, classes.data(), scales.data(), int64_t(n), out.data()); });
  return out;
}

nb::tuple exponents(Input2<int32_t> offset, Input2<int32_t> slope, int64_t reach, Input1<uint8_t> classes,
                    Input2<int32_t> scales, Input2<int32_t> vectors, int64_t cell) {
  const size_t n = classes.shape(0);
  check(offset.shape(0) == 3 && slope.shape(0) == 3 && slope.shape(1) == 3 && scales.shape(0) == 3 &&
            vectors.shape(0) == 3 && scales.shape(1) == n && vectors.shape(1) == n,
        "position_exponents: wrong lengths");
  check(cell >= 1 && cell <= 62, "position_exponents: cell out of range");
  check_classes(classes, offset.shape(1));
  auto exps = new_array<int64_t>({3, n});
  auto world = new_array<int64_t>({3, n});
  const PositionSteps s{offset.data(), int64_t(offset.shape(1)), slope.data(), reach, cell};
  without_gil([&] {
    position_exponents(s, classes.data(), scales.data(), vectors.data(), int64_t(n), exps.data(), world.data());
  });
  return nb::make_tuple(exps, world);
}

}  // namespace
}  // namespace scenepress

void bind_shape(nanobind::module_& m) {
  m.def("expand_scales", &scenepress::expand);
  m.def("rotation_steps", &scenepress::steps);
  m.def("position_exponents", &scenepress::exponents);
}
