#include "gpu/raster.h"

#include <stdexcept>

#include "bindings/raster_arrays.h"

using namespace scenepress;

void bind_raster_cuda(nb::module_& m) {
  m.def("rasterize",
        [](Input2<float> means, Input2<float> quats, Input2<float> log_scales, Input1<float> opacity_logits,
           Input2<float> sh0, Input3<float> shN, bool antialiased, Input2<double> view, Input1<double> intrinsics,
           int width, int height, Input1<float> background) {
          const SplatArrays splats =
              SceneArrays{means, quats, log_scales, opacity_logits, sh0, shN, antialiased}.arrays();
          const Pinhole camera = pinhole(view, intrinsics, width, height);
          if (background.shape(0) != 3) throw std::invalid_argument("background must be [3]");
          const size_t h = static_cast<size_t>(height), w = static_cast<size_t>(width);
          auto color = new_array<float>({h, w, 3});
          auto alpha = new_array<float>({h, w});
          without_gil([&] { rasterize_cuda(splats, camera, background.data(), color.data(), alpha.data()); });
          return nb::make_tuple(color, alpha);
        });
  // Of the image that rasterize() made: means, quats, log_scales, opacity_logits, sh0, shN, centers.
  m.def("differentiate",
        [](Input2<float> means, Input2<float> quats, Input2<float> log_scales, Input1<float> opacity_logits,
           Input2<float> sh0, Input3<float> shN, bool antialiased, Input2<double> view, Input1<double> intrinsics,
           int width, int height, Input3<float> color, Input2<float> alpha, Input3<float> by_color,
           Input2<float> by_alpha) {
          const SplatArrays splats =
              SceneArrays{means, quats, log_scales, opacity_logits, sh0, shN, antialiased}.arrays();
          const Pinhole camera = pinhole(view, intrinsics, width, height);
          const size_t n = means.shape(0), h = static_cast<size_t>(height), w = static_cast<size_t>(width);
          for (const auto* image : {&color, &by_color})
            if (image->shape(0) != h || image->shape(1) != w || image->shape(2) != 3)
              throw std::invalid_argument("images must be [height, width, 3]");
          for (const auto* plane : {&alpha, &by_alpha})
            if (plane->shape(0) != h || plane->shape(1) != w)
              throw std::invalid_argument("alphas must be [height, width]");
          auto d_means = new_array<float>({n, 3}), d_quats = new_array<float>({n, 4}),
               d_log_scales = new_array<float>({n, 3}), d_opacity_logits = new_array<float>({n}),
               d_sh0 = new_array<float>({n, 3}), d_shN = new_array<float>({n, shN.shape(1), 3}),
               d_centers = new_array<float>({n, 2});
          without_gil([&] {
            differentiate_cuda(splats, camera, {color.data(), alpha.data()}, {by_color.data(), by_alpha.data()},
                               {d_means.data(), d_quats.data(), d_log_scales.data(), d_opacity_logits.data(),
                                d_sh0.data(), d_shN.data(), d_centers.data()});
          });
          return nb::make_tuple(d_means, d_quats, d_log_scales, d_opacity_logits, d_sh0, d_shN, d_centers);
        });
}
