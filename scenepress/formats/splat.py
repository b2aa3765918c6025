""".splat of antimatter15's viewer: 32 bytes a splat, no header, no SH.

float32 x, y, z; float32 linear scales; bytes r, g, b, opacity; rotation w, x, y, z as bytes q * 128 + 128.
Axes are those of the INRIA .ply, RDF.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import check_count, read_bytes
from scenepress.formats.values import (
    OPACITY_BYTE_LOGITS,
    SH_C0,
    log_scales,
    opacities,
    representable,
    to_bytes,
    unit_quats,
    warn_unkept,
)
from scenepress.scene import Splats
from scenepress.scene_ops import convert_axes

RECORD = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])
MAX_LOG_SCALE = 88.0
"""exp() of more leaves float32."""


def read_splat(path: str | Path) -> Splats:
    """Read a .splat file.

    The format has no mark of its own: a file whose scales are mostly negative or not finite is refused.

    Args:
        path: the file.

    Returns:
        The scene in file order, SH degree 0, axes RDF. Opacity bytes 0 and 255 give logits -inf and +inf.

    Raises:
        FormatError: the length is no multiple of 32, or the content cannot be splats.
        OSError: the file cannot be read.
    """
    data = read_bytes(path, ".splat")
    if len(data) % RECORD.itemsize:
        raise FormatError(f"{path}: {len(data)} bytes are no multiple of the 32 that a splat takes")
    check_count(len(data) // RECORD.itemsize, path)
    records = np.frombuffer(data, RECORD)
    scales = records["scales"]
    plausible = (np.isfinite(scales) & (scales >= 0)).all(axis=1)
    if 2 * plausible.sum() < len(records):
        raise FormatError(f"{path}: most scales are negative or not finite; this is no .splat file")
    colour_table = ((np.arange(256) / 255 - 0.5) / SH_C0).astype(np.float32)
    return Splats(
        means=np.array(records["means"], np.float32),
        quats=unit_quats(records["quats"].astype(np.float32) - np.float32(128)),
        log_scales=log_scales(scales),
        opacity_logits=OPACITY_BYTE_LOGITS[records["rgba"][:, 3]],
        sh0=colour_table[records["rgba"][:, :3]],
        shN=np.zeros((len(records), 0, 3), np.float32),
        axes="RDF",
    )


def write_splat(splats: Splats, path: str | Path) -> None:
    """Write a .splat file: the most visible splats first, as its viewers expect.

    SH, the antialiased flag and splats that the format cannot hold are lost with a LossWarning. Colours
    beyond 0..1 are cut. The order of the splats is not kept.

    Args:
        splats: the scene; converted to RDF axes.
        path: the file to make; it appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    warn_unkept(splats, str(path), sh=True, antialiased=True)
    scene = convert_axes(representable(splats, str(path)), "RDF")
    scales = np.exp(np.minimum(scene.log_scales.astype(np.float64), MAX_LOG_SCALE))
    opacity = opacities(scene.opacity_logits)
    records = np.zeros(len(scene), RECORD)
    records["means"] = scene.means
    records["scales"] = scales
    records["rgba"][:, :3] = to_bytes((scene.sh0.astype(np.float64) * SH_C0 + 0.5) * 255)
    records["rgba"][:, 3] = to_bytes(opacity * 255)
    records["quats"] = to_bytes(unit_quats(scene.quats).astype(np.float64) * 128 + 128)
    order = np.argsort(-scales.prod(axis=1) * opacity, kind="stable")
    with whole_file(path) as stream:
        stream.write(records[order].tobytes())
