// The CPU rasteriser. Shapes are checked here so that no caller can make native code read out of bounds.
#include "cpu/raster.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bindings/raster_arrays.h"
#include "cpu/parallel.h"
#include "cpu/raster_gradient.h"

namespace scenepress {
namespace {

// threads, tile_budget: 0 for the usual.
RasterOptions options(bool portable, int threads, int64_t tile_budget) {
  return {raster_kernels(portable), threads > 0 ? threads : thread_count(),
          tile_budget > 0 ? tile_budget : kTileBudget};
}

nb::tuple rasterize(Input2<float> means, Input2<float> quats, Input2<float> log_scales,
                    Input1<float> opacity_logits, Input2<float> sh0, Input3<float> shN, bool antialiased,
                    Input2<double> view, Input1<double> intrinsics, int width, int height,
                    Input1<float> background, bool portable, int threads, int64_t tile_budget) {
  const SplatArrays splats = SceneArrays{means, quats, log_scales, opacity_logits, sh0, shN, antialiased}.arrays();
  const Pinhole camera = pinhole(view, intrinsics, width, height);
  if (background.shape(0) != 3) throw std::invalid_argument("background must be [3]");
  const size_t h = static_cast<size_t>(height), w = static_cast<size_t>(width);
  auto color = new_array<float>({h, w, 3});
  auto alpha = new_array<float>({h, w});
  without_gil([&] {
    rasterize_cpu(splats, camera, background.data(), options(portable, threads, tile_budget), color.data(),
                  alpha.data());
  });
  return nb::make_tuple(color, alpha);
}

// views: float64 [V, 4, 4]; intrinsics: float64 [V, 4]; sizes: int32 [V, 2], width and height; background and
// deviation: a Backdrop. Result: float64 [N, 13], as measure_cpu() says.
Array<double> measure_splats(Input2<float> means, Input2<float> quats, Input2<float> log_scales,
                             Input1<float> opacity_logits, Input2<float> sh0, Input3<float> shN, bool antialiased,
                             Input3<double> views, Input2<double> intrinsics, Input2<int32_t> sizes,
                             Input1<float> background, float deviation, float low_pass, bool portable, int threads,
                             int64_t tile_budget) {
  if (!(low_pass > 0)) throw std::invalid_argument("the low-pass must be positive");
  const SplatArrays splats = SceneArrays{means, quats, log_scales, opacity_logits, sh0, shN, antialiased}.arrays();
  const size_t count = views.shape(0);
  if (views.shape(1) != 4 || views.shape(2) != 4 || intrinsics.shape(0) != count || intrinsics.shape(1) != 4 ||
      sizes.shape(0) != count || sizes.shape(1) != 2 || background.shape(0) != 3)
    throw std::invalid_argument("camera arrays do not fit each other");
  std::vector<Pinhole> cameras;
  for (size_t v = 0; v < count; ++v)
    cameras.push_back(pinhole(views.data() + 16 * v, intrinsics.data() + 4 * v, sizes.data()[2 * v],
                              sizes.data()[2 * v + 1], low_pass));
  const Backdrop backdrop{{background.data()[0], background.data()[1], background.data()[2]}, deviation};
  auto out = new_array<double>({means.shape(0), static_cast<size_t>(kSensitivities)});
  without_gil([&] {
    measure_cpu(splats, cameras.data(), static_cast<int64_t>(count), backdrop,
                options(portable, threads, tile_budget), out.data());
  });
  return out;
}

// Every splat on its own, for tests: visible bool [N], and float32 [N, 11]: x, y, depth, covariance 00 01 11,
// compensation, opacity, r, g, b. Rows that are not visible are zero.
nb::tuple project_splats(Input2<float> means, Input2<float> quats, Input2<float> log_scales,
                         Input1<float> opacity_logits, Input2<float> sh0, Input3<float> shN, bool antialiased,
                         Input2<double> view, Input1<double> intrinsics, int width, int height) {
  const SplatArrays splats = SceneArrays{means, quats, log_scales, opacity_logits, sh0, shN, antialiased}.arrays();
  const Pinhole camera = pinhole(view, intrinsics, width, height);
  auto visible = new_array<bool>({means.shape(0)});
  auto rows = new_array<float>({means.shape(0), 11});
  for (int64_t i = 0; i < splats.count; ++i) {
    float* row = rows.data() + 11 * i;
    std::fill(row, row + 11, 0.f);
    Footprint footprint;
    Ellipse e;
    SplatShape shape;
    double point[3];
    shape_of(splats, i, &shape);
    visible.data()[i] = make_footprint(splats, i, camera, &footprint) &&
                        to_camera(camera, splats.means + 3 * i, point) && project(shape, point, camera, &e);
    if (!visible.data()[i]) continue;
    const float values[11] = {e.x,
                              e.y,
                              e.depth,
                              e.c00,
                              e.c01,
                              e.c11,
                              e.compensation,
                              exp2f(footprint.log2_opacity),
                              footprint.rgb[0],
                              footprint.rgb[1],
                              footprint.rgb[2]};
    std::copy(values, values + 11, row);
  }
  return nb::make_tuple(visible, rows);
}

// A rendered view that can be differentiated. Keeps the arrays it was made of.
class Frame {
 public:
  Frame(Input2<float> means, Input2<float> quats, Input2<float> log_scales, Input1<float> opacity_logits,
        Input2<float> sh0, Input3<float> shN, bool antialiased, Input2<double> view, Input1<double> intrinsics,
        int width, int height, Input1<float> background, bool portable, int threads)
      : scene_{means, quats, log_scales, opacity_logits, sh0, shN, antialiased},
        options_(options(portable, threads, 0)),
        color_(new_array<float>({size_t(std::max(height, 0)), size_t(std::max(width, 0)), 3})),
        alpha_(new_array<float>({size_t(std::max(height, 0)), size_t(std::max(width, 0))})) {
    const Pinhole camera = pinhole(view, intrinsics, width, height);
    const SplatArrays splats = scene_.arrays();
    if (background.shape(0) != 3) throw std::invalid_argument("background must be [3]");
    without_gil([&] {
      frame_ =
          std::make_unique<RasterFrame>(splats, camera, background.data(), options_, color_.data(), alpha_.data());
    });
  }

  Array<float> color() const { return color_; }
  Array<float> alpha() const { return alpha_; }

  // by_color: [H, W, 3], by_alpha: [H, W]. Means [N, 3], quats [N, 4], log_scales [N, 3], opacity_logits [N], sh0
  // [N, 3], shN [N, K, 3], centers [N, 2].
  nb::tuple backward(Input3<float> by_color, Input2<float> by_alpha) const {
    const SplatArrays splats = scene_.arrays();
    const Pinhole& camera = frame_->camera();
    const size_t n = size_t(splats.count), height = size_t(camera.height), width = size_t(camera.width);
    if (by_color.shape(0) != height || by_color.shape(1) != width || by_color.shape(2) != 3 ||
        by_alpha.shape(0) != height || by_alpha.shape(1) != width)
      throw std::invalid_argument("derivatives do not fit the image");
    auto means = new_array<float>({n, 3}), quats = new_array<float>({n, 4}), log_scales = new_array<float>({n, 3}),
         opacity_logits = new_array<float>({n}), sh0 = new_array<float>({n, 3}),
         shN = new_array<float>({n, scene_.shN.shape(1), 3}), centers = new_array<float>({n, 2});
    without_gil([&] {
      frame_->backward(splats, {color_.data(), alpha_.data()}, {by_color.data(), by_alpha.data()}, options_,
                       {means.data(), quats.data(), log_scales.data(), opacity_logits.data(), sh0.data(),
                        shN.data(), centers.data()});
    });
    return nb::make_tuple(means, quats, log_scales, opacity_logits, sh0, shN, centers);
  }

 private:
  SceneArrays scene_;
  RasterOptions options_;
  Array<float> color_, alpha_;
  std::unique_ptr<RasterFrame> frame_;
};

}  // namespace
}  // namespace scenepress

void bind_raster(nanobind::module_& m) {
  using scenepress::Frame;
  using namespace scenepress;
  nanobind::class_<Frame>(m, "RasterFrame")
      .def(nanobind::init<Input2<float>, Input2<float>, Input2<float>, Input1<float>, Input2<float>, Input3<float>,
                          bool, Input2<double>, Input1<double>, int, int, Input1<float>, bool, int>())
      .def_prop_ro("color", &Frame::color, nanobind::rv_policy::automatic)
      .def_prop_ro("alpha", &Frame::alpha, nanobind::rv_policy::automatic)
      .def("backward", &Frame::backward);
  m.def("rasterize", &scenepress::rasterize);
  m.def("measure_splats", &scenepress::measure_splats);
  m.def("project_splats", &scenepress::project_splats);
}
