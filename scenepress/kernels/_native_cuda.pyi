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
def differentiate(
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
    color: NDArray[np.float32],
    alpha: NDArray[np.float32],
    by_color: NDArray[np.float32],
    by_alpha: NDArray[np.float32],
) -> tuple[
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
]: ...

# position.cpp
def decode_position_streams(
    streams: list[tuple[bytes, int, NDArray[np.uint64], int]],
) -> list[tuple[NDArray[np.uint64], int]]: ...
def morton_codes(xyz: NDArray[np.uint32]) -> NDArray[np.uint64]: ...
def morton_cells(codes: NDArray[np.uint64]) -> NDArray[np.uint32]: ...

# rans.cpp
def rans_decode_payloads(
    payloads: list[tuple[bytes, list[NDArray[np.uint8]]]],
    frequencies: NDArray[np.uint16],
    context_map: NDArray[np.uint8],
    signed: bool,
) -> list[list[NDArray[np.int32]]]: ...
