// The learned context model; kernels/learned.py checks nothing that is not checked here.
#include "cpu/learned.h"

#include <cstring>

#include "bindings/learned_arrays.h"

namespace scenepress {
namespace {

nb::tuple nearest_arrays(Input1<uint64_t> codes, Input1<uint64_t> coarse) {
  const size_t n = codes.shape(0);
  check_coarse(coarse);
  auto out = new_array<int32_t>({n, kNearest});
  auto far = new_array<int32_t>({n, kNearest});
  without_gil([&] { nearest(codes.data(), n, coarse.data(), coarse.shape(0), out.data(), far.data()); });
  return nb::make_tuple(out, far);
}

Array<int8_t> level_array(Input2<int32_t> values, Input2<int32_t> logs, Input1<uint8_t> classes, int64_t first,
                          Input2<int32_t> near, Input2<int32_t> far, int32_t origin) {
  const TileArrays tile = checked_tile(values, logs, classes, first, near, far, origin);
  const size_t n = near.shape(0);
  auto out = new_array<int8_t>({kFeatures, n});
  std::memset(out.data(), 0, kFeatures * n);
  without_gil([&] { level_features(tile, far.data(), {int64_t(n), near.data(), out.data()}); });
  return out;
}

void shape_array(Output2<int8_t> features, Input2<int32_t> logs, int32_t origin) {
  check_shape(features, logs);
  const SeenLevel level{int64_t(logs.shape(1)), nullptr, features.data()};
  without_gil([&] { shape_features(logs.data(), origin, level); });
}

template <bool kPortable>
void residual_array(Output2<int8_t> features, int channel, Input1<int32_t> values, Input1<int32_t> predictions,
                    Input1<int32_t> steps) {
  check_residual(features, channel, values, predictions, steps);
  const SeenLevel level{int64_t(values.shape(0)), nullptr, features.data()};
  without_gil([&] {
    learned_kernels(kPortable).residuals(level, channel, values.data(), predictions.data(), steps.data());
  });
}

template <bool kPortable>
Array<int32_t> linear_array(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                            Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                            Input1<uint8_t> classes) {
  const Prediction p = checked_prediction(values, first, near, channel, inputs, weights, bias, classes);
  const size_t n = classes.shape(0);
  auto out = new_array<int32_t>({n});
  without_gil([&] { learned_kernels(kPortable).linear(p, {int64_t(n), near.data(), nullptr}, out.data()); });
  return out;
}

template <bool kPortable>
nb::tuple predict_arrays(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                         Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                         Input1<uint8_t> classes, Input1<int32_t> steps, Output2<int8_t> features,
                         Input2<int8_t> hidden, Input1<int32_t> hidden_bias, Input2<int8_t> head,
                         Input1<int32_t> head_bias, int32_t spreads) {
  Prediction p = checked_prediction(values, first, near, channel, inputs, weights, bias, classes);
  const Network network = checked_network(hidden, hidden_bias, head, head_bias, spreads);
  const size_t n = classes.shape(0);
  check_features(features, n);
  check_steps(steps, n);
  p.steps = steps.data();
  auto base = new_array<int32_t>({n}), prediction = new_array<int32_t>({n});
  auto context = new_array<uint8_t>({n}), flip = new_array<uint8_t>({n});
  without_gil([&] {
    learned_kernels(kPortable).predict(p, {int64_t(n), near.data(), features.data()}, network,
                                       {base.data(), context.data(), flip.data(), prediction.data()});
  });
  return nb::make_tuple(base, context, flip, prediction);
}

}  // namespace
}  // namespace scenepress

void bind_learned(nanobind::module_& m) {
  m.def("nearest", &scenepress::nearest_arrays);
  m.def("level_features", &scenepress::level_array);
  m.def("shape_features", &scenepress::shape_array);
  m.def("residual_features", &scenepress::residual_array<false>);
  m.def("residual_features_portable", &scenepress::residual_array<true>);
  m.def("linear_prediction", &scenepress::linear_array<false>);
  m.def("linear_prediction_portable", &scenepress::linear_array<true>);
  m.def("learned_predict", &scenepress::predict_arrays<false>);
  m.def("learned_predict_portable", &scenepress::predict_arrays<true>);
}
