// The Python module scenepress.kernels._native_cuda: imports without a driver, works only with a device.
#include <nanobind/nanobind.h>

#include "gpu/raster.h"

void bind_deformation_cuda(nanobind::module_& m);
void bind_learned_cuda(nanobind::module_& m);
void bind_position_cuda(nanobind::module_& m);
void bind_rans_cuda(nanobind::module_& m);
void bind_raster_cuda(nanobind::module_& m);

NB_MODULE(_native_cuda, m) {
  m.doc() = "CUDA kernels; use them through scenepress.kernels.";
  m.def("device_count", &scenepress::cuda_device_count);
  bind_deformation_cuda(m);
  bind_learned_cuda(m);
  bind_position_cuda(m);
  bind_rans_cuda(m);
  bind_raster_cuda(m);
}
