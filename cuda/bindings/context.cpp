#include "cpu/context.h"

#include <cstring>
#include <vector>

#include "bindings/arrays.h"
#include "core/bits.h"
#include "cpu/error_diffusion.h"
#include "cpu/sh_planes.h"
#include "cpu/shape.h"

namespace scenepress {

namespace {

Array<int32_t> neighbours_array(Input1<uint64_t> codes, Input1<uint64_t> coarse) {
  const size_t n = codes.shape(0);
  check(coarse.shape(0) > 0, "neighbours: coarse must not be empty");
  auto out = new_array<int32_t>({n, 2});
  without_gil([&] { neighbours(codes.data(), n, coarse.data(), coarse.shape(0), out.data()); });
  return out;
}

nb::tuple merge_arrays(Input1<uint64_t> known, Input1<int32_t> columns, Input1<uint64_t> codes, int32_t first) {
  const size_t m = known.shape(0), n = codes.shape(0);
  check(columns.shape(0) == m, "merge: lengths differ");
  auto merged = new_array<uint64_t>({m + n});
  auto merged_columns = new_array<int32_t>({m + n});
  without_gil([&] {
    merge_codes({known.data(), columns.data(), int64_t(m)}, codes.data(), int64_t(n), first, merged.data(),
                merged_columns.data());
  });
  return nb::make_tuple(merged, merged_columns);
}

template <bool kPortable>
nb::tuple predict_arrays(Input2<int32_t> values, int64_t first, Input2<int32_t> near, int32_t channel,
                         Input1<int32_t> inputs, Input1<int32_t> weights, Input1<int32_t> bias,
                         Input1<uint8_t> classes, Input1<int32_t> steps) {
  const size_t n = classes.shape(0), channels = values.shape(0), capacity = values.shape(1);
  const bool has_near = near.shape(0) > 0;
  check(steps.shape(0) == n && (!has_near || (near.shape(0) == n && near.shape(1) == 2)),
        "predict: lengths differ");
  check(first >= 0 && first + n <= capacity && channel >= 0 && size_t(channel) < channels,
        "predict: out of range");
  check(weights.shape(0) == (has_near ? 2 + 3 * inputs.shape(0) : inputs.shape(0)),
        "predict: wrong number of weights");
  for (size_t j = 0; j < inputs.shape(0); ++j)
    check(inputs.data()[j] >= 0 && size_t(inputs.data()[j]) < channels, "predict: no such input");
  for (size_t i = 0; i < n; ++i) {
    check(classes.data()[i] < bias.shape(0) && steps.data()[i] > 0 && steps.data()[i] < 65536,
          "predict: class or step out of range");
    if (has_near)
      check(near.data()[2 * i] >= 0 && near.data()[2 * i] < first && near.data()[2 * i + 1] >= 0 &&
                near.data()[2 * i + 1] < first,
            "predict: neighbour out of range");
  }
  auto base = new_array<int32_t>({n});
  auto context = new_array<uint8_t>({n});
  auto flip = new_array<uint8_t>({n});
  const Prediction p{values.data(),
                     int64_t(capacity),
                     first,
                     has_near ? near.data() : nullptr,
                     channel,
                     inputs.data(),
                     int64_t(inputs.shape(0)),
                     weights.data(),
                     bias.data(),
                     classes.data(),
                     steps.data()};
  without_gil([&] { predict(p, int64_t(n), kPortable, base.data(), context.data(), flip.data()); });
  return nb::make_tuple(base, context, flip);
}

template <bool kPortable>
Array<int32_t> reconstruct_array(Input1<int32_t> base, Input1<uint8_t> flip, Input1<int32_t> symbols,
                                 Input1<int32_t> steps) {
  const size_t n = base.shape(0);
  check(flip.shape(0) == n && symbols.shape(0) == n && steps.shape(0) == n, "reconstruct: lengths differ");
  auto out = new_array<int32_t>({n});
  without_gil([&] {
    reconstruct(base.data(), flip.data(), symbols.data(), steps.data(), int64_t(n), kPortable, out.data());
  });
  return out;
}

void check_active(Input1<int32_t> active, size_t n) {
  for (size_t k = 0; k < active.shape(0); ++k)
    check(active.data()[k] >= 0 && size_t(active.data()[k]) < n, "sh: active row out of range");
}

void check_sh(const Input1<int32_t>& plane, const Input2<int32_t>& near, const Input1<int32_t>& active,
              const Input1<uint8_t>& extents, const Input1<uint8_t>& classes, const Input1<int32_t>& steps) {
  const size_t n = steps.shape(0);
  check(extents.shape(0) == n && classes.shape(0) == n &&
            (near.shape(0) == 0 || (near.shape(0) == n && near.shape(1) == 2)),
        "sh_contexts: lengths differ");
  check_active(active, n);
  for (size_t i = 0; i < near.size(); ++i)
    check(near.data()[i] >= 0 && size_t(near.data()[i]) < plane.shape(0), "sh_contexts: neighbour out of range");
}

Array<uint8_t> sh_contexts_array(Input1<int32_t> plane, Input2<int32_t> near, Input1<int32_t> active,
                                 Input1<uint8_t> extents, int group, Input1<uint8_t> classes,
                                 Input1<int32_t> steps) {
  check_sh(plane, near, active, extents, classes, steps);
  auto out = new_array<uint8_t>({active.shape(0)});
  const ShPlane p{plane.data(), near.shape(0) ? near.data() : nullptr, active.data(), int64_t(active.shape(0))};
  without_gil([&] { sh_contexts(p, extents.data(), group, classes.data(), steps.data(), out.data()); });
  return out;
}

nb::tuple sh_predict_arrays(Input1<int32_t> plane, Input2<int32_t> near, Input1<int32_t> active,
                            Input1<uint8_t> extents, int group, Input1<uint8_t> classes, Input1<int32_t> steps,
                            Input1<int32_t> weights) {
  check_sh(plane, near, active, extents, classes, steps);
  check(weights.shape(0) == 2, "sh_predict: two weights are needed");
  for (size_t k = 0; k < 2; ++k)
    check(weights.data()[k] >= -32767 && weights.data()[k] <= 32767, "sh_predict: weight out of range");
  for (size_t i = 0; i < steps.shape(0); ++i)
    check(steps.data()[i] > 0 && steps.data()[i] < 65536, "sh_predict: step out of range");
  const size_t count = active.shape(0);
  auto base = new_array<int32_t>({count});
  auto context = new_array<uint8_t>({count}), flip = new_array<uint8_t>({count});
  const ShPlane p{plane.data(), near.shape(0) ? near.data() : nullptr, active.data(), int64_t(count)};
  without_gil([&] {
    sh_predict(p, extents.data(), group, classes.data(), steps.data(), weights.data(),
               {base.data(), context.data(), flip.data()});
  });
  return nb::make_tuple(base, context, flip);
}

void sh_scatter_array(nb::ndarray<int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> plane, int64_t first,
                      Input1<int32_t> active, Input1<int32_t> symbols, Input1<int32_t> steps) {
  check_active(active, steps.shape(0));
  check(symbols.shape(0) == active.shape(0) && first >= 0 && first + steps.shape(0) <= plane.shape(0),
        "sh_scatter: lengths differ");
  without_gil([&] {
    sh_scatter(plane.data(), first, active.data(), symbols.data(), steps.data(), int64_t(active.shape(0)));
  });
}

// Of the out.shape(0) splats from column `first` on.
template <bool kPortable>
void sh_inverse_array(Input2<int32_t> planes, int64_t first, Input1<int32_t> steps, Input1<int32_t> shift,
                      Input2<int32_t> rows, Output2<float> out) {
  const size_t n = steps.shape(0), columns = planes.shape(0), width = rows.shape(1);
  check(first >= 0 && size_t(first) + n <= planes.shape(1) && shift.shape(0) == columns &&
            rows.shape(0) == columns && columns <= kMaxShCount && width <= kMaxShCount && out.shape(0) == n &&
            out.shape(1) == width,
        "sh_inverse: lengths differ");
  const ShTransform t{planes.data() + first,
                      int64_t(planes.shape(1)),
                      int64_t(columns),
                      int64_t(width),
                      steps.data(),
                      shift.data(),
                      rows.data()};
  without_gil([&] { sh_inverse(t, int64_t(n), kPortable, out.data()); });
}

Array<int32_t> diffuse_errors_array(Input2<float> x, float strength, float dead_zone) {
  check(dead_zone >= 0 && dead_zone <= 1 && strength >= 0 && strength < 1, "diffuse_errors: out of range");
  auto out = new_array<int32_t>({x.shape(0), x.shape(1)});
  without_gil([&] {
    diffuse_errors(x.data(), int64_t(x.shape(0)), int64_t(x.shape(1)), strength, dead_zone, out.data());
  });
  return out;
}

int64_t total_bits(Input1<uint8_t> lengths) {
  int64_t total = 0;
  for (size_t i = 0; i < lengths.shape(0); ++i) {
    check(lengths.data()[i] <= 32, "bits: a field is longer than 32");
    total += lengths.data()[i];
  }
  return total;
}

void check_bits(const uint8_t* data, int64_t size, int64_t total) {
  check((total + 7) / 8 <= size, "bits missing");
  for (int64_t byte = total / 8; byte < size; ++byte)
    check(data[byte] >> (byte == total / 8 ? total % 8 : 0) == 0, "bits set after the last one");
}

nb::bytes pack_bits_array(Input1<uint32_t> fields, Input1<uint8_t> lengths) {
  check(fields.shape(0) == lengths.shape(0), "pack_bits: lengths differ");
  std::vector<uint8_t> out(size_t((total_bits(lengths) + 7) / 8));
  int64_t at = 0;
  for (size_t i = 0; i < fields.shape(0); at += lengths.data()[i++])
    put_bits(out.data(), at, fields.data()[i], lengths.data()[i]);
  return nb::bytes(out.data(), out.size());
}

Array<uint32_t> unpack_bits_array(nb::bytes payload, Input1<uint8_t> lengths) {
  const int64_t total = total_bits(lengths), size = int64_t(payload.size());
  const uint8_t* data = reinterpret_cast<const uint8_t*>(payload.c_str());
  check_bits(data, size, total);
  auto out = new_array<uint32_t>({lengths.shape(0)});
  without_gil([&] {
    int64_t at = 0;
    for (size_t i = 0; i < lengths.shape(0); at += lengths.data()[i++])
      out.data()[i] = get_bits(data, at, lengths.data()[i]);
  });
  return out;
}

Array<int64_t> refine_array(nb::bytes payload, Input2<uint32_t> cells, Input2<int64_t> exps, int cell) {
  const size_t n = cells.shape(0);
  check(cells.shape(1) == 3 && exps.shape(0) == 3 && exps.shape(1) == n && cell >= 0 && cell <= 62,
        "refine: wrong lengths");
  int64_t total = 0;
  bool fine = true;
  for (size_t i = 0; i < exps.size(); ++i) {
    const int64_t length = cell - exps.data()[i];
    fine &= exps.data()[i] >= 0 && length >= 0 && length <= 32;
    total += length;
  }
  check(fine, "refine: exponent out of range");
  const uint8_t* data = reinterpret_cast<const uint8_t*>(payload.c_str());
  check_bits(data, int64_t(payload.size()), total);
  auto out = new_array<int64_t>({n, 3});
  without_gil([&] { refine_positions(data, 0, cells.data(), exps.data(), int64_t(n), cell, out.data()); });
  return out;
}

}  // namespace
}  // namespace scenepress

void bind_context(nanobind::module_& m) {
  m.def("neighbours", &scenepress::neighbours_array);
  m.def("merge", &scenepress::merge_arrays);
  m.def("predict", &scenepress::predict_arrays<false>);
  m.def("predict_portable", &scenepress::predict_arrays<true>);
  m.def("reconstruct", &scenepress::reconstruct_array<false>);
  m.def("reconstruct_portable", &scenepress::reconstruct_array<true>);
  m.def("sh_contexts", &scenepress::sh_contexts_array);
  m.def("sh_predict", &scenepress::sh_predict_arrays);
  m.def("sh_scatter", &scenepress::sh_scatter_array);
  m.def("sh_inverse", &scenepress::sh_inverse_array<false>);
  m.def("sh_inverse_portable", &scenepress::sh_inverse_array<true>);
  m.def("diffuse_errors", &scenepress::diffuse_errors_array);
  m.def("pack_bits", &scenepress::pack_bits_array);
  m.def("unpack_bits", &scenepress::unpack_bits_array);
  m.def("refine", &scenepress::refine_array);
}
