// The learned context model on a device, one call at a time: what tests/gpu compares with the other backends.
#include "gpu/learned.h"

#include <cstring>

#include "bindings/learned_arrays.h"
#include "gpu/device_array.h"

namespace scenepress {
namespace {

template <typename T, typename View>
DeviceArray<T> upload(const View& host) {
  return DeviceArray<T>(host.data(), static_cast<int64_t>(host.size()));
}

nb::tuple nearest_on_device(Input1<uint64_t> codes, Input1<uint64_t> coarse) {
  check_coarse(coarse);
  const size_t n = codes.shape(0);
  const int64_t count = static_cast<int64_t>(n);
  auto out = new_array<int32_t>({n, kNearest});
  auto far = new_array<int32_t>({n, kNearest});
  without_gil([&] {
    const auto queries = upload<uint64_t>(codes), known = upload<uint64_t>(coarse);
    DeviceArray<int32_t> found(kNearest * count), distances(kNearest * count);
    nearest_cuda(queries.data(), count, known.data(), known.size(), found.data(), distances.data(), nullptr);
    found.copy_to(out.data());
    distances.copy_to(far.data());
  });
  return nb::make_tuple(out, far);
}

Array<int8_t> level_on_device(Input2<int32_t> values, Input2<int32_t> logs, Input1<uint8_t> classes, int64_t first,
                              Input2<int32_t> near, Input2<int32_t> far, int32_t origin) {
  TileArrays tile = checked_tile(values, logs, classes, first, near, far, origin);
  const size_t n = near.shape(0);
  auto out = new_array<int8_t>({kFeatures, n});
  std::memset(out.data(), 0, kFeatures * n);
  without_gil([&] {
    const auto all_values = upload<int32_t>(values), all_logs = upload<int32_t>(logs);
    const auto all_classes = upload<uint8_t>(classes);
    const auto neighbours = upload<int32_t>(near), distances = upload<int32_t>(far);
    auto features = upload<int8_t>(out);
    tile.values = all_values.data(), tile.logs = all_logs.data(), tile.classes = all_classes.data();
    level_features_cuda(tile, distances.data(), {int64_t(n), neighbours.data(), features.data()}, nullptr);
    features.copy_to(out.data());
  });
  return out;
}

void shape_on_device(Output2<int8_t> features, Input2<int32_t> logs, int32_t origin) {
  check_shape(features, logs);
  without_gil([&] {
    const auto own = upload<int32_t>(logs);
    auto planes = upload<int8_t>(features);
    shape_features_cuda(own.data(), origin, {int64_t(logs.shape(1)), nullptr, planes.data()}, nullptr);
    planes.copy_to(features.data());
  });
}

void residual_on_device(Output2<int8_t> features, int channel, Input1<int32_t> values, Input1<int32_t> predictions,
                        Input1<int32_t> steps) {
  check_residual(features, channel, values, predictions, steps);
  without_gil([&] {
    const auto known = upload<int32_t>(values), expected = upload<int32_t>(predictions);
    const auto own_steps = upload<int32_t>(steps);
    auto planes = upload<int8_t>(features);
    residual_features_cuda({known.size(), nullptr, planes.data()}, channel, known.data(), expected.data(),
                           own_steps.data(), nullptr);
    planes.copy_to(features.data());
  });
}

// What a checked prediction reads, on the device.
struct DevicePrediction {
  DeviceArray<int32_t> values, near, inputs, weights, bias;
  DeviceArray<uint8_t> classes;
  Prediction arrays;

  DevicePrediction(const Prediction& checked, const Input2<int32_t>& host_values, const Input2<int32_t>& host_near,
                   const Input1<int32_t>& host_inputs, const Input1<int32_t>& host_weights,
                   const Input1<int32_t>& host_bias, const Input1<uint8_t>& host_classes)
      : values(upload<int32_t>(host_values)),
        near(upload<int32_t>(host_near)),
        inputs(upload<int32_t>(host_inputs)),
        weights(upload<int32_t>(host_weights)),
        bias(upload<int32_t>(host_bias)),
        classes(upload<uint8_t>(host_classes)),
        arrays(checked) {
    arrays.values = values.data(), arrays.near = near.data(), arrays.inputs = inputs.data();
    arrays.weights = weights.data(), arrays.bias = bias.data(), arrays.classes = classes.data();
  }
};

Array<int32_t> linear_on_device(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                                Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                                Input1<uint8_t> classes) {
  const Prediction checked = checked_prediction(values, first, near, channel, inputs, weights, bias, classes);
  const size_t n = classes.shape(0);
  auto out = new_array<int32_t>({n});
  without_gil([&] {
    const DevicePrediction p(checked, values, near, inputs, weights, bias, classes);
    DeviceArray<int32_t> predictions(p.classes.size());
    linear_prediction_cuda(p.arrays, {p.classes.size(), p.near.data(), nullptr}, predictions.data(), nullptr);
    predictions.copy_to(out.data());
  });
  return out;
}

nb::tuple predict_on_device(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                            Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                            Input1<uint8_t> classes, Input1<int32_t> steps, Output2<int8_t> features,
                            Input2<int8_t> hidden, Input1<int32_t> hidden_bias, Input2<int8_t> head,
                            Input1<int32_t> head_bias, int32_t spreads) {
  const Prediction checked = checked_prediction(values, first, near, channel, inputs, weights, bias, classes);
  const Network network = checked_network(hidden, hidden_bias, head, head_bias, spreads);
  const size_t n = classes.shape(0);
  check_features(features, n);
  check_steps(steps, n);
  auto base = new_array<int32_t>({n}), prediction = new_array<int32_t>({n});
  auto context = new_array<uint8_t>({n}), flip = new_array<uint8_t>({n});
  without_gil([&] {
    DevicePrediction p(checked, values, near, inputs, weights, bias, classes);
    const auto own_steps = upload<int32_t>(steps);
    p.arrays.steps = own_steps.data();
    auto planes = upload<int8_t>(features);
    const int64_t count = p.classes.size();
    DeviceArray<int32_t> bases(count), predictions(count);
    DeviceArray<uint8_t> contexts(count), flips(count);
    learned_predict_cuda(p.arrays, {count, p.near.data(), planes.data()}, pack_network(network),
                         {bases.data(), contexts.data(), flips.data(), predictions.data()}, nullptr);
    bases.copy_to(base.data());
    contexts.copy_to(context.data());
    flips.copy_to(flip.data());
    predictions.copy_to(prediction.data());
    planes.copy_to(features.data());
  });
  return nb::make_tuple(base, context, flip, prediction);
}

}  // namespace
}  // namespace scenepress

void bind_learned_cuda(nanobind::module_& m) {
  m.def("nearest", &scenepress::nearest_on_device);
  m.def("level_features", &scenepress::level_on_device);
  m.def("shape_features", &scenepress::shape_on_device);
  m.def("residual_features", &scenepress::residual_on_device);
  m.def("linear_prediction", &scenepress::linear_on_device);
  m.def("learned_predict", &scenepress::predict_on_device);
}
