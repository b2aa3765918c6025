// The Python module scenepress.kernels._native: one line per binding file.
#include <nanobind/nanobind.h>

#include "core/host_device.h"

void bind_crc32c(nanobind::module_& m);
void bind_lossless(nanobind::module_& m);
void bind_binary_coder(nanobind::module_& m);
void bind_context(nanobind::module_& m);
void bind_splat_levels(nanobind::module_& m);
void bind_shape(nanobind::module_& m);
void bind_learned(nanobind::module_& m);
void bind_position(nanobind::module_& m);
void bind_rans(nanobind::module_& m);
void bind_raster(nanobind::module_& m);
void bind_image_loss(nanobind::module_& m);
void bind_adam(nanobind::module_& m);
void bind_deformation(nanobind::module_& m);

NB_MODULE(_native, m) {
  m.doc() = "Native kernels; use them through scenepress.kernels.";
  bind_crc32c(m);
  bind_lossless(m);
  bind_binary_coder(m);
  bind_position(m);
  bind_rans(m);
  bind_raster(m);
  bind_image_loss(m);
  bind_adam(m);
  bind_deformation(m);
  bind_context(m);
  bind_splat_levels(m);
  bind_shape(m);
  bind_learned(m);
}
