"""SOG version 1: a folder of images whose bytes lie linearly between bounds given in meta.json. Read only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.formats.sog_files import Files, Meta, image_width, read_image
from scenepress.formats.sog_planes import PALETTE_ROW, read_means, read_palette, read_quats
from scenepress.scene import Splats


def read_version_1(files: Files, meta: Meta) -> Splats:
    """The scene in file order, axes RDF; the opacity byte is linear in the logit. Errors as read_sog()."""
    shape = meta.section("means").get("shape")
    count = meta.count(shape[0] if isinstance(shape, list) and shape else None, files)
    scales = read_image(files, meta.names("scales", 1)[0], count)[:, :3]
    sh0 = _lerp(meta, "sh0", read_image(files, meta.names("sh0", 1)[0], count))
    return Splats(
        means=read_means(files, meta, count),
        quats=read_quats(files, meta, count),
        log_scales=_lerp(meta, "scales", scales),
        opacity_logits=np.ascontiguousarray(sh0[:, 3]),
        sh0=np.ascontiguousarray(sh0[:, :3]),
        shN=_read_sh(files, meta, count),
        axes="RDF",
    )


def _lerp(meta: Meta, section: str, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    channels = codes.shape[-1]
    mins, maxs = meta.numbers(section, "mins", channels), meta.numbers(section, "maxs", channels)
    return np.asarray(mins + (maxs - mins) * (codes / 255), np.float32)


def _read_sh(files: Files, meta: Meta, count: int) -> NDArray[np.float32]:
    if "shN" not in meta.root:
        return np.zeros((count, 0, 3), np.float32)
    palette_name, labels_name = meta.names("shN", 2)
    labels = read_image(files, labels_name, count)
    index = labels[:, 0].astype(np.intp) | labels[:, 1].astype(np.intp) << 8
    width = image_width(files, palette_name)
    if width % PALETTE_ROW:
        raise FormatError(f"{files.path}: {palette_name} is not 192, 512 or 960 pixels wide")
    used = int(index.max(initial=0)) + 1
    codes = read_palette(files, palette_name, width // PALETTE_ROW, used)
    low, high = meta.numbers("shN", "mins", 1)[0], meta.numbers("shN", "maxs", 1)[0]
    palette = np.asarray(low + (high - low) * (codes / 255), np.float32)
    return np.asarray(palette[index], np.float32)
