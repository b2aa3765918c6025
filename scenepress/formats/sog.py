"""SOG of PlayCanvas (.sog zip, or a folder with meta.json): splats as lossless images and codebooks.

Positions: 16 bits of a logarithmic coordinate; rotations: smallest three in bytes; scales, colours and SH:
indices into codebooks of 256; SH through a palette of up to 65,536 sets. Axes are RDF. Version 1, a
folder of images with linear ranges, is in sog_v1.py.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.codebook import fit_codebook, fit_palette, nearest
from scenepress.formats.files import warn_loss
from scenepress.formats.sog_files import Files, FolderFiles, Meta, ZipFiles, image_width, read_image, webp
from scenepress.formats.sog_planes import PALETTE_ROW, TAG, read_means, read_palette, read_quats
from scenepress.formats.sog_v1 import read_version_1
from scenepress.formats.values import (
    OPACITY_BYTE_LOGITS,
    morton_order,
    opacities,
    representable,
    split_largest,
    to_bytes,
    unit_quats,
)
from scenepress.scene import SH_COUNTS, Splats
from scenepress.scene_ops import convert_axes

MAX_PALETTE = 65_536
MAX_SIDE = 16_383
"""Pixels: the limit of WebP."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def read_sog(path: str | Path) -> Splats:
    """Read a SOG scene of version 2 or 1: a .sog file, a folder, or its meta.json.

    Args:
        path: the file or folder.

    Returns:
        The scene in file order, axes RDF. Opacity bytes 0 and 255 give logits -inf and +inf.

    Raises:
        FormatError: no SOG, damaged, of a later version, or a bomb.
        OSError: the files cannot be read.
    """
    path = Path(path)
    if path.name == "meta.json":
        path = path.parent
    files = FolderFiles(path) if path.is_dir() else ZipFiles(path)
    try:
        meta = Meta(files)
        version = meta.root.get("version")
        if version is None:
            return read_version_1(files, meta)
        if version != 2 or type(version) is not int:
            raise FormatError(f"{path}: SOG version {str(version)[:40]}; 1 and 2 can be read")
        return _read_version_2(files, meta)
    finally:
        files.close()


def _read_version_2(files: Files, meta: Meta) -> Splats:
    count = meta.count(meta.root.get("count"), files)
    scales = read_image(files, meta.names("scales", 1)[0], count)
    sh0 = read_image(files, meta.names("sh0", 1)[0], count)
    model = meta.root.get("model")
    if model == "2dgs":
        warn_loss(f"{files.path}: 2DGS surfels are read as thin 3D splats")
    return Splats(
        means=read_means(files, meta, count),
        quats=read_quats(files, meta, count),
        log_scales=meta.codebook("scales")[scales[:, :3]],
        opacity_logits=OPACITY_BYTE_LOGITS[sh0[:, 3]],
        sh0=meta.codebook("sh0")[sh0[:, :3]],
        shN=_read_sh(files, meta, count),
        antialiased=model == "antialiased" or meta.root.get("antialias") is True,
        axes="RDF",
    )


def _read_sh(files: Files, meta: Meta, count: int) -> Floats:
    if "shN" not in meta.root:
        return np.zeros((count, 0, 3), np.float32)
    palette_name, labels_name = meta.names("shN", 2)
    bands, entries = meta.section("shN").get("bands"), meta.section("shN").get("count")
    if bands is None:  # Early files: the image's width tells.
        coefs = image_width(files, palette_name) // PALETTE_ROW
    elif type(bands) is int and bands in (1, 2, 3):
        coefs = SH_COUNTS[bands]
    else:
        raise FormatError(f"{files.path}: shN.bands is {str(bands)[:40]!r}; 1 to 3 are possible")
    labels = read_image(files, labels_name, count)
    index = labels[:, 0].astype(np.intp) | labels[:, 1].astype(np.intp) << 8
    used = int(index.max(initial=0)) + 1
    if entries is not None and (type(entries) is not int or not used <= entries <= MAX_PALETTE):
        raise FormatError(f"{files.path}: labels reach {used - 1} in a palette of {str(entries)[:40]}")
    palette = read_palette(files, palette_name, coefs, used)
    return np.asarray(meta.codebook("shN")[palette[index]], np.float32)


def write_sog(splats: Splats, path: str | Path, iterations: int = 10) -> None:
    """Write a SOG scene of version 2, splats in Z-order.

    Codebooks and the SH palette are fitted by k-means; the palette in two steps, so that time grows with
    the number of splats alone (about 7 s for 100,000 of SH degree 3 on 2 cores). Values are rounded
    to the nearest code. Splats that the format cannot hold are made invisible, with a LossWarning.

    Args:
        splats: the scene; converted to RDF axes.
        path: a .sog file; or .../meta.json, for a folder that must not exist yet. Either appears whole
            or not at all.
        iterations: of k-means for the SH palette.

    Raises:
        FormatError: more splats than the images can hold.
        FileExistsError: the folder exists.
        OSError: the files cannot be written.
    """
    path = Path(path)
    if len(splats) > (MAX_SIDE - 3) ** 2:
        raise FormatError(f"{path}: SOG holds at most {(MAX_SIDE - 3) ** 2} splats, got {len(splats)}")
    scene = convert_axes(representable(splats, str(path)), "RDF")
    files = _encode(scene.take(morton_order(scene.means)), iterations)
    if path.name == "meta.json":
        _write_folder(files, path.parent)
        return
    with whole_file(path) as stream:
        stream.write(_zip(files))


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in files.items():
            bundle.writestr(zipfile.ZipInfo(name), data)  # Without a date: the same bytes every time.
    return stream.getvalue()


def _write_folder(files: dict[str, bytes], folder: Path) -> None:
    if folder.exists():
        raise FileExistsError(f"{folder}: exists; a SOG folder is only written anew")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        temporary.chmod(0o755)
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _encode(scene: Splats, iterations: int) -> dict[str, bytes]:
    """File name -> content."""
    means, low, high = _encode_means(scene.means)
    scales = fit_codebook(scene.log_scales)
    sh0 = fit_codebook(scene.sh0)
    index, rest = split_largest(unit_quats(scene.quats))
    quats = to_bytes((rest * np.sqrt(0.5) + 0.5) * 255)
    alpha = to_bytes(opacities(scene.opacity_logits) * 255)
    opaque = np.full(len(scene), 255, np.uint8)
    images = {
        "means_l.webp": _image(low, opaque),
        "means_u.webp": _image(high, opaque),
        "quats.webp": _image(quats, (TAG + index).astype(np.uint8)),
        "scales.webp": _image(nearest(scales, scene.log_scales), opaque),
        "sh0.webp": _image(nearest(sh0, scene.sh0), alpha),
    }
    meta: dict[str, object] = {"version": 2, "asset": {"generator": "scenepress"}, "count": len(scene)}
    if scene.antialiased:
        meta["model"] = "antialiased"
    meta["means"] = {**means, "files": ["means_l.webp", "means_u.webp"]}
    meta["scales"] = {"codebook": scales.tolist(), "files": ["scales.webp"]}
    meta["quats"] = {"files": ["quats.webp"]}
    meta["sh0"] = {"codebook": sh0.tolist(), "files": ["sh0.webp"]}
    if scene.sh_degree and len(scene):
        meta["shN"], sh_images = _encode_sh(scene, iterations)
        images |= sh_images
    elif scene.sh_degree:
        warn_loss("an empty SOG scene has no SH degree")
    files = {name: webp(pixels) for name, pixels in images.items()}
    return files | {"meta.json": json.dumps(meta, separators=(",", ":")).encode()}


def _encode_means(means: Floats) -> tuple[dict[str, object], Bytes, Bytes]:
    t = np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))
    mins, maxs = (t.min(axis=0), t.max(axis=0)) if len(t) else (np.zeros(3), np.zeros(3))
    extent = np.where(maxs > mins, maxs - mins, 1)
    words = np.rint((t - mins) / extent * 65535).astype(np.uint16)
    bounds: dict[str, object] = {"mins": mins.tolist(), "maxs": maxs.tolist()}
    return bounds, (words & np.uint16(255)).astype(np.uint8), (words >> np.uint16(8)).astype(np.uint8)


def _image(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Splats [N, 3] and [N] row by row in an image [height, width, 4], sides multiples of 4."""
    count = len(rgb)
    width = max(4, -(-int(np.ceil(np.sqrt(count))) // 4) * 4)
    rows = -(-count // width)
    height = max(4, -(-rows // 4) * 4)
    pixels = np.zeros((height * width, 4), np.uint8)
    pixels[:, 3] = 255
    pixels[:count, :3] = rgb
    pixels[:count, 3] = alpha
    return pixels.reshape(height, width, 4)


def palette_size(count: int) -> int:
    """SH sets for `count` splats: all of them up to 1024, then as many as a power of two allows."""
    if count <= 1024:
        return count
    return min(64, 1 << ((count // 1024).bit_length() - 1)) * 1024


def _encode_sh(scene: Splats, iterations: int) -> tuple[dict[str, object], dict[str, Bytes]]:
    coefs = scene.shN.shape[1]
    rows = scene.shN.reshape(len(scene), 3 * coefs)
    palette, labels = fit_palette(rows, palette_size(len(scene)), iterations)
    codebook = fit_codebook(palette)
    codes = nearest(codebook, palette).reshape(len(palette), coefs, 3)
    height = -(-len(palette) // PALETTE_ROW)
    centroids = np.zeros((height * PALETTE_ROW, coefs, 4), np.uint8)
    centroids[..., 3] = 255
    centroids[: len(palette), :, :3] = codes
    label_bytes = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], axis=1).astype(np.uint8)
    meta: dict[str, object] = {
        "count": len(palette),
        "bands": scene.sh_degree,
        "codebook": codebook.tolist(),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }
    return meta, {
        "shN_centroids.webp": centroids.reshape(height, PALETTE_ROW * coefs, 4),
        "shN_labels.webp": _image(label_bytes, np.full(len(labels), 255, np.uint8)),
    }
