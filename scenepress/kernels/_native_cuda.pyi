# What cuda/bindings_cuda/*.cpp define: one block per file.
import numpy as np
from numpy.typing import NDArray

# module.cpp
def device_count() -> int: ...

# raster.cpp
def rasterize(
    means: NDArray[np.float32],
    quats: NDArray[np.float32],
    log_scales: NDArray[np.float32],
    opacity_logits: NDArray[np.float32],
    sh0: NDArray[np.float32],
    shN: NDArray[np.float32],
    antialiased: bool,
    view: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    width: int,
    height: int,
    background: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
