# What cuda/bindings_cuda/*.cpp define: one block per file.
import numpy as np
from numpy.typing import NDArray

# module.cpp
def device_count() -> int: ...

# deformation.cpp
def deform(
    planes: NDArray[np.float32],
    levels: NDArray[np.int64],
    bounds: NDArray[np.float32],
    weights: NDArray[np.float32],
    trunk: NDArray[np.int64],
    heads: NDArray[np.int64],
    means: NDArray[np.float32],
    time: float,
) -> NDArray[np.float32]: ...

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

# learned.cpp
def nearest(
    codes: NDArray[np.uint64], coarse: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]: ...
def level_features(
    values: NDArray[np.int32],
    logs: NDArray[np.int32],
    classes: NDArray[np.uint8],
    first: int,
    near: NDArray[np.int32],
    far: NDArray[np.int32],
    origin: int,
) -> NDArray[np.int8]: ...
def shape_features(features: NDArray[np.int8], logs: NDArray[np.int32], origin: int) -> None: ...
def residual_features(
    features: NDArray[np.int8],
    channel: int,
    values: NDArray[np.int32],
    predictions: NDArray[np.int32],
    steps: NDArray[np.int32],
) -> None: ...
def linear_prediction(
    values: NDArray[np.int32],
    first: int,
    near: NDArray[np.int32],
    channel: int,
    inputs: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32],
    classes: NDArray[np.uint8],
) -> NDArray[np.int32]: ...
def learned_predict(
    values: NDArray[np.int32],
    first: int,
    near: NDArray[np.int32],
    channel: int,
    inputs: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32],
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
    features: NDArray[np.int8],
    hidden: NDArray[np.int8],
    hidden_bias: NDArray[np.int32],
    head: NDArray[np.int8],
    head_bias: NDArray[np.int32],
    spreads: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]: ...
