// Whole attributes of a level in one call; kernels/splats.py checks nothing that is not checked here.
#include "cpu/splat_levels.h"

#include <nanobind/stl/vector.h>

#include <algorithm>
#include <vector>

#include "bindings/arrays.h"
#include "cpu/dequantise.h"

namespace scenepress {
namespace {

// Every neighbour is a column before `first`, every class has a bias, every step fits.
void check_level(int64_t first, const Input2<int32_t>& near, const Input1<uint8_t>& classes,
                 const Input1<int32_t>& steps, size_t capacity, size_t class_count) {
  const size_t n = classes.shape(0);
  check(steps.shape(0) == n && (near.shape(0) == 0 || (near.shape(0) == n && near.shape(1) == 2)),
        "level: lengths differ");
  check(first >= 0 && size_t(first) + n <= capacity, "level: outside the tile");
  // The sign bits of differences instead of comparisons: these loops vectorise.
  const auto beyond = [](int32_t value, uint32_t low, uint32_t high) {
    return (static_cast<uint32_t>(value) - low) | (high - static_cast<uint32_t>(value));
  };
  uint32_t bad = 0;
  for (size_t i = 0; i < near.size(); ++i) bad |= beyond(near.data()[i], 0, static_cast<uint32_t>(first) - 1);
  for (size_t i = 0; i < n; ++i) bad |= beyond(classes.data()[i], 0, static_cast<uint32_t>(class_count) - 1);
  for (size_t i = 0; i < n; ++i) bad |= beyond(steps.data()[i], 1, 65535);
  check(bad >> 31 == 0, "level: neighbour, class or step out of range");
}

void channel(RansDecoder& decoder, const RansTables& tables, Output2<int32_t> values, int64_t first,
             Input2<int32_t> near, int32_t channel, Input1<int32_t> inputs, Input1<int32_t> weights,
             Input1<int32_t> bias, Input1<uint8_t> classes, Input1<int32_t> steps) {
  const size_t channels = values.shape(0);
  const bool has_near = near.shape(0) > 0;
  check_level(first, near, classes, steps, values.shape(1), bias.shape(0));
  check(channel >= 0 && size_t(channel) < channels, "level: no such channel");
  check(weights.shape(0) == (has_near ? 2 + 3 * inputs.shape(0) : inputs.shape(0)),
        "level: wrong number of weights");
  for (size_t j = 0; j < inputs.shape(0); ++j)
    check(inputs.data()[j] >= 0 && size_t(inputs.data()[j]) < channels, "level: no such input");
  const Prediction p{values.data(),
                     int64_t(values.shape(1)),
                     first,
                     has_near ? near.data() : nullptr,
                     channel,
                     inputs.data(),
                     int64_t(inputs.shape(0)),
                     weights.data(),
                     bias.data(),
                     classes.data(),
                     steps.data()};
  without_gil([&] { decode_channel(decoder, tables, p, int64_t(classes.shape(0)), values.data()); });
}

void sh(RansDecoder& decoder, const RansTables& extent_tables, nb::list group_tables, Output2<int32_t> planes,
        Output1<uint8_t> extents, int64_t first, Input2<int32_t> near, Input1<uint8_t> classes,
        Input1<int32_t> steps, Input1<int32_t> bounds, Input2<int32_t> weights) {
  check(weights.shape(0) == 0 || (weights.shape(0) == planes.shape(0) && weights.shape(1) == 2),
        "level: wrong number of weights");
  for (size_t i = 0; i < weights.size(); ++i)
    check(weights.data()[i] >= -32767 && weights.data()[i] <= 32767, "level: weight out of range");
  check(group_tables.size() == kShGroups && bounds.shape(0) == kShGroups + 1, "level: 15 groups are needed");
  check_level(first, near, classes, steps, extents.shape(0), 16);
  check(planes.shape(1) == extents.shape(0), "level: lengths differ");
  for (int g = 0; g < kShGroups; ++g)
    check(bounds.data()[g] >= 0 && bounds.data()[g] <= bounds.data()[g + 1] &&
              size_t(bounds.data()[g + 1]) <= planes.shape(0),
          "level: bounds out of range");
  std::vector<const RansTables*> groups;
  for (nb::handle h : group_tables) groups.push_back(h.is_none() ? nullptr : nb::cast<const RansTables*>(h));
  for (size_t i = 0; i < near.size(); ++i) check(extents.data()[near.data()[i]] <= kShGroups, "level: extent");
  const ShLevel level{planes.data(),
                      int64_t(planes.shape(1)),
                      int64_t(planes.shape(0)),
                      first,
                      int64_t(classes.shape(0)),
                      near.shape(0) ? near.data() : nullptr,
                      classes.data(),
                      steps.data(),
                      extents.data(),
                      bounds.data(),
                      weights.shape(0) ? weights.data() : nullptr};
  without_gil([&] { decode_sh_level(decoder, extent_tables, groups.data(), level, extents.data() + first); });
}

// Writes floats of the n splats from column `first` on into the outputs, each [n, ...].
void dequantise(Input2<int32_t> values, int64_t first, Input2<int32_t> logs, Input2<int64_t> offsets,
                Input1<int64_t> corner, double unit, Input2<int32_t> matrix, Input1<float> logits,
                Output2<float> means, Output2<float> quats, Output2<float> log_scales,
                Output1<float> opacity_logits, Output2<float> sh0) {
  const size_t n = offsets.shape(0);
  const auto fits = [n](const Output2<float>& out, size_t width) {
    return out.shape(0) == n && out.shape(1) == width;
  };
  check(values.shape(0) == 10 && first >= 0 && size_t(first) + n <= values.shape(1), "level: outside the tile");
  check(logs.shape(0) == 3 && logs.shape(1) == n && offsets.shape(1) == 3 && corner.shape(0) == 3 &&
            matrix.shape(0) == 3 && matrix.shape(1) == 3 && logits.shape(0) > 0,
        "level: lengths differ");
  check(fits(means, 3) && fits(quats, 4) && fits(log_scales, 3) && opacity_logits.shape(0) == n && fits(sh0, 3),
        "level: outputs do not fit");
  const LatticeLevel level{values.data(),
                           int64_t(values.shape(1)),
                           first,
                           int64_t(n),
                           logs.data(),
                           offsets.data(),
                           corner.data(),
                           unit,
                           matrix.data(),
                           logits.data(),
                           int64_t(logits.shape(0))};
  const SplatFloats out{means.data(), quats.data(), log_scales.data(), opacity_logits.data(), sh0.data()};
  without_gil([&] { dequantise_level(level, out); });
}

}  // namespace
}  // namespace scenepress

void bind_splat_levels(nanobind::module_& m) {
  m.def("decode_channel", &scenepress::channel);
  m.def("decode_sh_level", &scenepress::sh);
  m.def("dequantise_level", &scenepress::dequantise);
}
