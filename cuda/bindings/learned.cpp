// The learned context model; kernels/learned.py checks nothing that is not checked here.
#include "cpu/learned.h"

#include <cstring>

#include "bindings/arrays.h"

namespace scenepress {
namespace {

nb::tuple nearest_arrays(Input1<uint64_t> codes, Input1<uint64_t> coarse) {
  const size_t n = codes.shape(0);
  check(coarse.shape(0) > 0, "nearest: coarse must not be empty");
  auto out = new_array<int32_t>({n, kNearest});
  auto far = new_array<int32_t>({n, kNearest});
  without_gil([&] { nearest(codes.data(), n, coarse.data(), coarse.shape(0), out.data(), far.data()); });
  return nb::make_tuple(out, far);
}

void check_near(const Input2<int32_t>& near, size_t n, int64_t first) {
  check(near.shape(0) == n && near.shape(1) == kNearest, "learned: lengths differ");
  uint32_t bad = 0;
  for (size_t i = 0; i < near.size(); ++i)
    bad |= static_cast<uint32_t>(near.data()[i]) | (static_cast<uint32_t>(first - 1) - near.data()[i]);
  check(bad >> 31 == 0, "learned: neighbour out of range");
}

void check_features(const Output2<int8_t>& features, size_t n) {
  check(features.shape(0) == kFeatures && features.shape(1) == n, "learned: features do not fit");
}

Array<int8_t> level_array(Input2<int32_t> values, Input2<int32_t> logs, Input1<uint8_t> classes, int64_t first,
                          Input2<int32_t> near, Input2<int32_t> far, int32_t origin) {
  const size_t n = near.shape(0), capacity = classes.shape(0);
  check(values.shape(0) > 3 && values.shape(1) == capacity && logs.shape(0) == 3 && logs.shape(1) == capacity &&
            far.shape(0) == n && far.shape(1) == kNearest && first > 0 && size_t(first) + n <= capacity,
        "learned: lengths differ");
  check_near(near, n, first);
  auto out = new_array<int8_t>({kFeatures, n});
  std::memset(out.data(), 0, kFeatures * n);
  const TileArrays tile{values.data(), logs.data(), classes.data(), int64_t(capacity), first, origin};
  without_gil([&] { level_features(tile, far.data(), {int64_t(n), near.data(), out.data()}); });
  return out;
}

void shape_array(Output2<int8_t> features, Input2<int32_t> logs, int32_t origin) {
  const size_t n = logs.shape(1);
  check(logs.shape(0) == 3, "learned: lengths differ");
  check_features(features, n);
  without_gil([&] { shape_features(logs.data(), origin, {int64_t(n), nullptr, features.data()}); });
}

template <bool kPortable>
void residual_array(Output2<int8_t> features, int channel, Input1<int32_t> values, Input1<int32_t> predictions,
                    Input1<int32_t> steps) {
  const size_t n = values.shape(0);
  check(predictions.shape(0) == n && steps.shape(0) == n && channel >= 0 && channel < kSizeRow - kResidualRow,
        "learned: lengths differ");
  check_features(features, n);
  without_gil([&] {
    learned_kernels(kPortable).residuals({int64_t(n), nullptr, features.data()}, channel, values.data(),
                                         predictions.data(), steps.data());
  });
}

Prediction checked(const Input2<int32_t>& values, int64_t first, const Input2<int32_t>& near, int32_t channel,
                   const Input1<int32_t>& inputs, const Input1<int32_t>& weights, const Input1<int32_t>& bias,
                   const Input1<uint8_t>& classes) {
  const size_t n = classes.shape(0), channels = values.shape(0);
  check(first > 0 && size_t(first) + n <= values.shape(1) && channel >= 0 && size_t(channel) < channels,
        "learned: out of range");
  check(weights.shape(0) == 2 + 3 * inputs.shape(0), "learned: wrong number of weights");
  for (size_t j = 0; j < inputs.shape(0); ++j)
    check(inputs.data()[j] >= 0 && size_t(inputs.data()[j]) < channels, "learned: no such input");
  check_near(near, n, first);
  for (size_t i = 0; i < n; ++i) check(classes.data()[i] < bias.shape(0), "learned: class out of range");
  return {values.data(), int64_t(values.shape(1)), first,          near.data(), channel,
          inputs.data(), int64_t(inputs.shape(0)), weights.data(), bias.data(), classes.data(),
          nullptr};
}

template <bool kPortable>
Array<int32_t> linear_array(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                            Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                            Input1<uint8_t> classes) {
  const Prediction p = checked(values, first, near, channel, inputs, weights, bias, classes);
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
  Prediction p = checked(values, first, near, channel, inputs, weights, bias, classes);
  const size_t n = classes.shape(0);
  check(steps.shape(0) == n && spreads >= 2 && hidden.shape(0) == kHidden && hidden.shape(1) == kFeatures &&
            hidden_bias.shape(0) == kHidden && head.shape(0) == 2 && head.shape(1) == kFeatures + kHidden &&
            head_bias.shape(0) == 2,
        "learned: lengths differ");
  check_features(features, n);
  uint32_t bad = 0;
  for (size_t i = 0; i < n; ++i)
    bad |= (static_cast<uint32_t>(steps.data()[i]) - 1) | (65535u - static_cast<uint32_t>(steps.data()[i]));
  check(bad >> 31 == 0, "learned: step out of range");
  p.steps = steps.data();
  auto base = new_array<int32_t>({n}), prediction = new_array<int32_t>({n});
  auto context = new_array<uint8_t>({n}), flip = new_array<uint8_t>({n});
  const Network network{hidden.data(), hidden_bias.data(), head.data(), head_bias.data(), spreads};
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
