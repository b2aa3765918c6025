// What the bindings of the learned context model take, on either kind of processor: their arguments, checked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bindings/arrays.h"
#include "core/learned_network.h"

namespace scenepress {

inline void check_coarse(const Input1<uint64_t>& coarse) {
  check(coarse.shape(0) > 0, "nearest: coarse must not be empty");
}

inline void check_near(const Input2<int32_t>& near, size_t n, int64_t first) {
  check(near.shape(0) == n && near.shape(1) == kNearest, "learned: lengths differ");
  uint32_t bad = 0;
  for (size_t i = 0; i < near.size(); ++i)
    bad |= static_cast<uint32_t>(near.data()[i]) | (static_cast<uint32_t>(first - 1) - near.data()[i]);
  check(bad >> 31 == 0, "learned: neighbour out of range");
}

inline void check_features(const Output2<int8_t>& features, size_t n) {
  check(features.shape(0) == kFeatures && features.shape(1) == n, "learned: features do not fit");
}

inline TileArrays checked_tile(const Input2<int32_t>& values, const Input2<int32_t>& logs,
                               const Input1<uint8_t>& classes, int64_t first, const Input2<int32_t>& near,
                               const Input2<int32_t>& far, int32_t origin) {
  const size_t n = near.shape(0), capacity = classes.shape(0);
  check(values.shape(0) > 3 && values.shape(1) == capacity && logs.shape(0) == 3 && logs.shape(1) == capacity &&
            far.shape(0) == n && far.shape(1) == kNearest && first > 0 && size_t(first) + n <= capacity,
        "learned: lengths differ");
  check_near(near, n, first);
  return {values.data(), logs.data(), classes.data(), int64_t(capacity), first, origin};
}

inline void check_shape(const Output2<int8_t>& features, const Input2<int32_t>& logs) {
  check(logs.shape(0) == 3, "learned: lengths differ");
  check_features(features, logs.shape(1));
}

inline void check_residual(const Output2<int8_t>& features, int channel, const Input1<int32_t>& values,
                           const Input1<int32_t>& predictions, const Input1<int32_t>& steps) {
  const size_t n = values.shape(0);
  check(predictions.shape(0) == n && steps.shape(0) == n && channel >= 0 && channel < kSizeRow - kResidualRow,
        "learned: lengths differ");
  check_features(features, n);
}

// Without steps.
inline Prediction checked_prediction(const Input2<int32_t>& values, int64_t first, const Input2<int32_t>& near,
                                     int32_t channel, const Input1<int32_t>& inputs,
                                     const Input1<int32_t>& weights, const Input1<int32_t>& bias,
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

inline void check_steps(const Input1<int32_t>& steps, size_t n) {
  check(steps.shape(0) == n, "learned: lengths differ");
  uint32_t bad = 0;
  for (size_t i = 0; i < n; ++i)
    bad |= (static_cast<uint32_t>(steps.data()[i]) - 1) | (65535u - static_cast<uint32_t>(steps.data()[i]));
  check(bad >> 31 == 0, "learned: step out of range");
}

inline Network checked_network(const Input2<int8_t>& hidden, const Input1<int32_t>& hidden_bias,
                               const Input2<int8_t>& head, const Input1<int32_t>& head_bias, int32_t spreads) {
  check(spreads >= 2 && hidden.shape(0) == kHidden && hidden.shape(1) == kFeatures &&
            hidden_bias.shape(0) == kHidden && head.shape(0) == 2 && head.shape(1) == kFeatures + kHidden &&
            head_bias.shape(0) == 2,
        "learned: lengths differ");
  return {hidden.data(), hidden_bias.data(), head.data(), head_bias.data(), spreads};
}

}  // namespace scenepress
