#include "cpu/image_loss.h"

#include <stdexcept>

#include "bindings/arrays.h"
#include "cpu/parallel.h"

namespace scenepress {
namespace {

// image, target: float32 [H, W, 3], at least 11 a side. Returns (L1, SSIM, gradient [H, W, 3]).
nb::tuple loss(Input3<float> image, Input3<float> target, float weight, bool portable, int threads) {
  const size_t height = image.shape(0), width = image.shape(1);
  if (image.shape(2) != 3 || target.shape(0) != height || target.shape(1) != width || target.shape(2) != 3)
    throw std::invalid_argument("image_loss: two images [H, W, 3] of one size are needed");
  if (height < kWindow || width < kWindow) throw std::invalid_argument("image_loss: at least 11 pixels a side");
  auto gradient = new_array<float>({height, width, 3});
  const ImagePair pair{image.data(), target.data(), int64_t(height), int64_t(width)};
  const ImageLoss found = without_gil(
      [&] { return image_loss(pair, weight, portable, threads > 0 ? threads : thread_count(), gradient.data()); });
  return nb::make_tuple(found.l1, found.ssim, gradient);
}

}  // namespace
}  // namespace scenepress

void bind_image_loss(nanobind::module_& m) { m.def("image_loss", &scenepress::loss); }
