# What cuda/bindings/*.cpp define: one block per file.
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress.kernels import Kernels, PlaneArrays

# crc32c.cpp
def crc32c(data: NDArray[np.uint8], start: int) -> int: ...
def crc32c_portable(data: NDArray[np.uint8], start: int) -> int: ...

# binary_coder.cpp
def encode_bits(bits: NDArray[np.uint8], contexts: NDArray[np.uint8]) -> bytes: ...
def decode_bits(payload: bytes, contexts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]: ...

# position.cpp
def encode_positions(codes: NDArray[np.uint64], coarse: NDArray[np.uint64], bits: int) -> bytes: ...
def decode_positions(
    payload: bytes, count: int, coarse: NDArray[np.uint64], bits: int
) -> tuple[NDArray[np.uint64], int]: ...
def morton_codes(xyz: NDArray[np.uint32]) -> NDArray[np.uint64]: ...
def morton_cells(codes: NDArray[np.uint64]) -> NDArray[np.uint32]: ...

# rans.cpp: also bound, held to plain C++, in the submodule `portable`; see kernels.Kernels for shapes.
class RansDecoder:
    def plane(self, tables: object, contexts: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
    def values(self, tables: object, contexts: NDArray[np.uint8], signed: bool) -> NDArray[np.int32]: ...
    def finish(self) -> None: ...

def tokenize(
    values: NDArray[np.int32], signed: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8], int]: ...
def detokenize(tokens: NDArray[np.uint8], raw: NDArray[np.uint32], signed: bool) -> NDArray[np.int32]: ...
def histogram(tokens: NDArray[np.uint8], contexts: NDArray[np.uint8], count: int) -> NDArray[np.int64]: ...
def parse_table_set(data: bytes, offset: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16], int]: ...
def fit_table_set(counts: NDArray[np.int64]) -> bytes: ...
def rans_encode(planes: Sequence[PlaneArrays], ways: int) -> bytes: ...
def rans_tables(frequencies: NDArray[np.uint16], context_map: NDArray[np.uint8]) -> object: ...
def rans_decoder(payload: bytes) -> RansDecoder: ...

portable: Kernels

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
    portable: bool,
    threads: int,
    tile_budget: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def project_splats(
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
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]: ...
def measure_splats(
    means: NDArray[np.float32],
    quats: NDArray[np.float32],
    log_scales: NDArray[np.float32],
    opacity_logits: NDArray[np.float32],
    sh0: NDArray[np.float32],
    shN: NDArray[np.float32],
    antialiased: bool,
    views: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    sizes: NDArray[np.int32],
    background: NDArray[np.float32],
    deviation: float,
    low_pass: float,
    portable: bool,
    threads: int,
    tile_budget: int,
) -> NDArray[np.float64]: ...

class RasterFrame:
    def __init__(
        self,
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
        portable: bool,
        threads: int,
    ) -> None: ...
    @property
    def color(self) -> NDArray[np.float32]: ...
    @property
    def alpha(self) -> NDArray[np.float32]: ...
    def backward(
        self, by_color: NDArray[np.float32], by_alpha: NDArray[np.float32]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
    ]: ...

# deformation.cpp: see kernels.deformation
def deform(
    planes: NDArray[np.float32],
    levels: NDArray[np.int64],
    bounds: NDArray[np.float32],
    weights: NDArray[np.float32],
    trunk: NDArray[np.int64],
    heads: NDArray[np.int64],
    means: NDArray[np.float32],
    time: float,
    portable: bool,
    threads: int,
) -> NDArray[np.float32]: ...

def differentiate_field(
    planes: NDArray[np.float32],
    levels: NDArray[np.int64],
    bounds: NDArray[np.float32],
    weights: NDArray[np.float32],
    trunk: NDArray[np.int64],
    heads: NDArray[np.int64],
    means: NDArray[np.float32],
    time: float,
    by_out: NDArray[np.float32],
    portable: bool,
    threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]: ...

# image_loss.cpp, adam.cpp: see kernels.reference_training
def image_loss(
    image: NDArray[np.float32], target: NDArray[np.float32], weight: float, portable: bool, threads: int
) -> tuple[float, float, NDArray[np.float32]]: ...
def adam(
    values: NDArray[np.float32],
    gradient: NDArray[np.float32],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    seen: NDArray[np.uint8],
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
) -> None: ...

# lossless.cpp: the submodule `lossless`; see kernels.lossless.Kernels for shapes.
class lossless:
    @staticmethod
    def assign(words: NDArray[np.uint32], bases: NDArray[np.uint32], leaves: int) -> NDArray[np.uint8]: ...
    @staticmethod
    def pack_bits(values: NDArray[np.uint32], lengths: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
    @staticmethod
    def expand(
        tokens: NDArray[np.uint8],
        bases: NDArray[np.uint32],
        lengths: NDArray[np.uint8],
        data: NDArray[np.uint8],
        start: int,
    ) -> tuple[NDArray[np.uint32], int]: ...

# context.cpp: *_portable are held to plain C++
def neighbours(codes: NDArray[np.uint64], coarse: NDArray[np.uint64]) -> NDArray[np.int32]: ...
def merge(
    known: NDArray[np.uint64], columns: NDArray[np.int32], codes: NDArray[np.uint64], first: int
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]: ...
def predict(
    values: NDArray[np.int32],
    first: int,
    near: NDArray[np.int32],
    channel: int,
    inputs: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32],
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]: ...

predict_portable = predict

def reconstruct(
    base: NDArray[np.int32], flip: NDArray[np.uint8], symbols: NDArray[np.int32], steps: NDArray[np.int32]
) -> NDArray[np.int32]: ...

reconstruct_portable = reconstruct

def sh_contexts(
    plane: NDArray[np.int32],
    near: NDArray[np.int32],
    active: NDArray[np.int32],
    extents: NDArray[np.uint8],
    group: int,
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
) -> NDArray[np.uint8]: ...
def sh_predict(
    plane: NDArray[np.int32],
    near: NDArray[np.int32],
    active: NDArray[np.int32],
    extents: NDArray[np.uint8],
    group: int,
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
    weights: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8]]: ...
def sh_scatter(
    plane: NDArray[np.int32],
    first: int,
    active: NDArray[np.int32],
    symbols: NDArray[np.int32],
    steps: NDArray[np.int32],
) -> None: ...
def sh_inverse(
    planes: NDArray[np.int32],
    first: int,
    steps: NDArray[np.int32],
    shift: NDArray[np.int32],
    rows: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None: ...

sh_inverse_portable = sh_inverse

def diffuse_errors(x: NDArray[np.float32], strength: float, dead_zone: float) -> NDArray[np.int32]: ...
def pack_bits(fields: NDArray[np.uint32], lengths: NDArray[np.uint8]) -> bytes: ...
def unpack_bits(payload: bytes, lengths: NDArray[np.uint8]) -> NDArray[np.uint32]: ...
def refine(payload: bytes, cells: NDArray[np.uint32], exps: NDArray[np.int64], cell: int) -> NDArray[np.int64]: ...

# splat_levels.cpp: the decoder and tables are those of rans.cpp
def decode_channel(
    decoder: object,
    tables: object,
    values: NDArray[np.int32],
    first: int,
    near: NDArray[np.int32],
    channel: int,
    inputs: NDArray[np.int32],
    weights: NDArray[np.int32],
    bias: NDArray[np.int32],
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
) -> None: ...
def decode_sh_level(
    decoder: object,
    extent_tables: object,
    group_tables: list[object],
    planes: NDArray[np.int32],
    extents: NDArray[np.uint8],
    first: int,
    near: NDArray[np.int32],
    classes: NDArray[np.uint8],
    steps: NDArray[np.int32],
    bounds: NDArray[np.int32],
    weights: NDArray[np.int32],
) -> None: ...
def dequantise_level(
    values: NDArray[np.int32],
    first: int,
    logs: NDArray[np.int32],
    offsets: NDArray[np.int64],
    corner: NDArray[np.int64],
    unit: float,
    matrix: NDArray[np.int32],
    logits: NDArray[np.float32],
    means: NDArray[np.float32],
    quats: NDArray[np.float32],
    log_scales: NDArray[np.float32],
    opacity_logits: NDArray[np.float32],
    sh0: NDArray[np.float32],
) -> None: ...

# shape.cpp
def expand_scales(coded: NDArray[np.int32], origin: int, widths: NDArray[np.int32]) -> NDArray[np.int32]: ...
def rotation_steps(
    base: NDArray[np.uint8],
    gain: NDArray[np.uint8],
    lift: NDArray[np.uint8],
    origin: int,
    classes: NDArray[np.uint8],
    scales: NDArray[np.int32],
) -> NDArray[np.int32]: ...
def position_exponents(
    offset: NDArray[np.int32],
    slope: NDArray[np.int32],
    reach: int,
    classes: NDArray[np.uint8],
    scales: NDArray[np.int32],
    vectors: NDArray[np.int32],
    cell: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

# learned.cpp: *_portable are held to plain C++
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
