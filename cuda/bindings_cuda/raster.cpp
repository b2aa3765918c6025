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
}
