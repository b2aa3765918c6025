"""The .ply of SpacetimeGaussians ("lite"): splats on cubic paths that fade in and out.

Columns beyond those of a static .ply: trbf_center and trbf_scale (time of full opacity, logarithm of how long it
lasts), motion_0..8 (three coefficients of x, y, z each, linear ones first), omega_0..3 (change of the rotation).
f_dc is the colour itself, 0 to 1, not an SH coefficient. The "full" model's colours come out of a network
that looks at whole pictures: those files are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import warn_loss
from scenepress.formats.ply import ROWS, rows
from scenepress.formats.ply_header import Element, read_header
from scenepress.formats.values import SH_C0
from scenepress.scene import PolynomialSplats, Splats

MOTION = 9
_COLUMNS = (
    "x", "y", "z", "trbf_center", "trbf_scale", "nx", "ny", "nz", *(f"motion_{i}" for i in range(MOTION)),
    "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
    "omega_0", "omega_1", "omega_2", "omega_3",
)  # fmt: skip
"""In the order of the trainer's own files."""
_NORMALS = ("nx", "ny", "nz")

Floats = NDArray[np.float32]


def is_spacetime(stream: BinaryIO, path: str) -> bool:
    """Whether a .ply has the columns of time."""
    vertex = read_header(stream, path).element("vertex")
    return vertex is not None and {"trbf_center", "motion_0"} <= set(vertex.names)


def read_spacetime(path: str | Path) -> PolynomialSplats:
    """Read a SpacetimeGaussians .ply, ascii or binary.

    Returns:
        The scene, axes RDF, SH degree 0.

    Raises:
        FormatError: no such file, one of the "full" model, or shorter than its header says.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        header = read_header(stream, str(path))
        vertex = header.element("vertex")
        if vertex is None:
            raise FormatError(f"{path}: no element 'vertex'")
        columns = _columns(vertex, str(path))
        table = np.empty((vertex.count, len(columns)), np.float32)
        for first, block in rows(stream, header, vertex):
            table[first : first + len(block)] = block[:, columns]
    at = {name: i for i, name in enumerate(name for name in _COLUMNS if name not in _NORMALS)}

    def part(first: str, width: int) -> Floats:
        return np.ascontiguousarray(table[:, at[first] : at[first] + width])

    splats = Splats(
        means=part("x", 3),
        quats=part("rot_0", 4),
        log_scales=part("scale_0", 3),
        opacity_logits=part("opacity", 1)[:, 0],
        sh0=((part("f_dc_0", 3) - 0.5) / SH_C0).astype(np.float32),
        shN=np.empty((len(table), 0, 3), np.float32),
        antialiased=header.antialiased,
        axes="RDF",
    )
    return PolynomialSplats(
        splats,
        motion=part("motion_0", MOTION).reshape(-1, 3, 3),
        spin=part("omega_0", 4),
        center=part("trbf_center", 1)[:, 0],
        log_duration=part("trbf_scale", 1)[:, 0],
    )


def _columns(vertex: Element, path: str) -> list[int]:
    index = {name: i for i, name in enumerate(vertex.names)}
    wanted = [name for name in _COLUMNS if name not in _NORMALS]
    missing = [name for name in wanted if name not in index]
    if missing:
        raise FormatError(f"{path}: no SpacetimeGaussians .ply; its vertices lack {', '.join(missing)}")
    if "f_dc_3" in index:
        raise FormatError(
            f"{path}: of the full model, whose colours come out of a network over the picture; only lite files "
            "have colours of their own"
        )
    extra = [name for name in index if name not in _COLUMNS]
    if extra:
        warn_loss(f"{path}: properties without a meaning here are left out: {', '.join(extra)[:200]}")
    return [index[name] for name in wanted]


def write_spacetime(scene: PolynomialSplats, path: str | Path) -> None:
    """Write a SpacetimeGaussians .ply; converted colours are rounded, SH beyond the constant is left out.

    Args:
        scene: in RDF axes, with at most three coefficients of motion.
        path: the file to make; it appears whole or not at all.

    Raises:
        FormatError: a scene of other axes, or of more coefficients.
        OSError: the file cannot be written.
    """
    splats = scene.splats
    degree = scene.motion.shape[1]
    if degree > MOTION // 3 or splats.axes != "RDF":
        raise FormatError(
            f"{path}: degree {degree} in {splats.axes} axes; the format has motion of degree 3 in RDF"
        )
    if splats.sh_degree:
        warn_loss(f"{path}: the format has no place for SH of degree {splats.sh_degree}")
    count = len(splats)
    motion = np.zeros((count, 3, 3), np.float32)
    motion[:, :degree] = scene.motion
    color = (0.5 + SH_C0 * splats.sh0.astype(np.float64)).astype(np.float32)
    parts = (
        splats.means, scene.center[:, None], scene.log_duration[:, None], np.zeros((count, 3), np.float32),
        motion.reshape(count, MOTION), color, splats.opacity_logits[:, None], splats.log_scales, splats.quats,
        scene.spin,
    )  # fmt: skip
    header = ["ply", "format binary_little_endian 1.0", "comment scenepress", f"element vertex {count}"]
    header += [f"property float {name}" for name in _COLUMNS]
    with whole_file(path) as stream:
        stream.write(("\n".join([*header, "end_header"]) + "\n").encode())
        for start in range(0, count, ROWS):
            block = np.concatenate([part[start : start + ROWS] for part in parts], axis=1)
            stream.write(block.astype("<f4").tobytes())
