"""glTF with KHR_gaussian_splatting (.glb, .gltf): splats as the vertices of a point primitive.

Plain float or integer accessors, or an SPZ blob (KHR_gaussian_splatting_compression_spz_2). All splat
primitives of the file are joined, each moved by its node. Axes are LUF. Whether the scene was trained
antialiased has no place in the standard; it stands in the `extras` of the primitive.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_file
from scenepress.formats.files import warn_loss
from scenepress.formats.gltf_file import GLB_BIN, GLB_JSON, GLB_MAGIC, Document, Json, load_document
from scenepress.formats.spz import parse_spz
from scenepress.formats.values import SH_C0, log_scales, logits, opacities, representable, to_bytes, unit_quats
from scenepress.scene import SH_COUNTS, Splats
from scenepress.scene_ops import convert_axes, transform

EXTENSION = "KHR_gaussian_splatting"
SPZ_EXTENSION = f"{EXTENSION}_compression_spz"
MAX_SCALE = 1e38

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]


def read_gltf(path: str | Path) -> Splats:
    """Read the splats of a .glb or .gltf file.

    Args:
        path: the file; buffers beside a .gltf must lie in its folder.

    Returns:
        The scene, primitives in the order of the nodes, axes LUF, SH as high as the highest among them.

    Raises:
        FormatError: no glTF 2.0, damaged, without splats, or with a node that shears them.
        OSError: the file cannot be read.
    """
    document = load_document(Path(path))
    parts: list[Splats] = []
    total = 0
    for mesh, matrix in document.placed_meshes():
        for primitive in document.mappings(mesh, "primitives"):
            if EXTENSION in document.mapping(primitive, "extensions", optional=True):
                parts.append(_placed(_primitive(document, primitive), matrix, str(path)))
                total += len(parts[-1])
                if total > document.size:  # Nodes may repeat a mesh, but not build a bomb of it.
                    raise FormatError(f"{path}: {total} splats from {document.size} bytes are too many")
    if not parts:
        raise FormatError(f"{path}: no primitive uses {EXTENSION}")
    return _joined(parts, str(path))


def _primitive(document: Document, primitive: Json) -> Splats:
    path = document.path
    extension = document.mapping(document.mapping(primitive, "extensions"), EXTENSION)
    if extension.get("kernel", "ellipse") != "ellipse":
        warn_loss(f"{path}: kernel {str(extension.get('kernel'))[:40]!r} is read as ellipse")
    if extension.get("colorSpace", "srgb_rec709_display") != "srgb_rec709_display":
        warn_loss(f"{path}: colour space {str(extension.get('colorSpace'))[:40]!r} is read as sRGB")
    nested = document.mapping(extension, "extensions", optional=True)
    for name in nested:
        if not name.startswith(SPZ_EXTENSION):
            raise FormatError(f"{path}: {name[:80]!r} inside {EXTENSION} is not supported")
    for name in nested:
        view = document.mapping(nested, name).get("bufferView")
        return convert_axes(parse_spz(document.view(view), f"{path} (SPZ inside)"), "LUF")
    return _attributes(document, primitive)


def _attributes(document: Document, primitive: Json) -> Splats:
    attributes = document.mapping(primitive, "attributes")

    def values(name: str, width: int, full: str = f"{EXTENSION}:") -> Floats:
        return document.accessor(attributes.get(full + name), width, full + name)

    means = values("POSITION", 3, "")
    coefs = []
    for degree in range(1, 4):
        names = [f"SH_DEGREE_{degree}_COEF_{n}" for n in range(2 * degree + 1)]
        if not any(f"{EXTENSION}:{name}" in attributes for name in names):
            break
        coefs += [values(name, 3) for name in names]
    if any(f"{EXTENSION}:SH_DEGREE_{d}_COEF_0" in attributes for d in range(4, 9)):
        warn_loss(f"{document.path}: SH beyond degree 3 is cut")
    xyzw = values("ROTATION", 4)
    sh0, scales, opacity = values("SH_DEGREE_0_COEF_0", 3), values("SCALE", 3), values("OPACITY", 1)
    if len({len(a) for a in (means, xyzw, sh0, scales, opacity, *coefs)}) > 1:
        raise FormatError(f"{document.path}: attributes of a primitive differ in count")
    extras = primitive.get("extras")
    return Splats(
        means=means,
        quats=np.ascontiguousarray(np.roll(xyzw, 1, axis=1)),
        log_scales=log_scales(scales),
        opacity_logits=logits(opacity[:, 0]),
        sh0=sh0,
        shN=np.stack(coefs, axis=1) if coefs else np.zeros((len(means), 0, 3), np.float32),
        antialiased=isinstance(extras, dict) and extras.get("antialiased") is True,
        axes="LUF",
    )


def _placed(splats: Splats, matrix: Matrix, path: str) -> Splats:
    """Moved by a node's matrix [4, 4]."""
    if np.array_equal(matrix, np.eye(4)):
        return splats
    linear = matrix[:3, :3]
    scale = float(np.cbrt(np.abs(np.linalg.det(linear))))
    try:
        return transform(splats, linear / max(scale, 1e-300), matrix[:3, 3], scale)
    except ValueError:
        raise FormatError(f"{path}: a node stretches splats unevenly, which splats cannot follow") from None


def _joined(parts: list[Splats], path: str) -> Splats:
    if len(parts) == 1:
        return parts[0]
    if len({p.antialiased for p in parts}) > 1:
        warn_loss(f"{path}: only some primitives are antialiased; the scene is read as not antialiased")
    coefs = max(p.shN.shape[1] for p in parts)
    padded = [np.pad(p.shN, ((0, 0), (0, coefs - p.shN.shape[1]), (0, 0))) for p in parts]
    return Splats(
        means=np.concatenate([p.means for p in parts]),
        quats=np.concatenate([p.quats for p in parts]),
        log_scales=np.concatenate([p.log_scales for p in parts]),
        opacity_logits=np.concatenate([p.opacity_logits for p in parts]),
        sh0=np.concatenate([p.sh0 for p in parts]),
        shN=np.concatenate(padded),
        antialiased=all(p.antialiased for p in parts),
        axes="LUF",
    )


def write_glb(splats: Splats, path: str | Path) -> None:
    """Write a .glb with one splat primitive, all attributes float32, and colours for other viewers.

    Opacities are stored as 0..1: logits beyond +-16 round to 0 or 1. Splats that the format cannot hold
    are made invisible, with a LossWarning.

    Args:
        splats: the scene; converted to LUF axes.
        path: the file to make; it appears whole or not at all.

    Raises:
        FormatError: an empty scene, which glTF cannot hold, or more than 4 GiB.
        OSError: the file cannot be written.
    """
    if not len(splats):
        raise FormatError(f"{path}: glTF cannot hold a scene without splats")
    scene = convert_axes(representable(splats, str(path)), "LUF")
    body: list[bytes] = []
    views: list[Json] = []
    accessors: list[Json] = []
    attributes: dict[str, object] = {}
    for name, array in _written(scene):
        data = np.ascontiguousarray(array).tobytes()
        start = sum(len(b) for b in body)
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(data), "target": 34962})
        is_float = array.dtype == np.float32
        accessor: Json = {
            "bufferView": len(views) - 1,
            "componentType": 5126 if is_float else 5121,
            "count": len(scene),
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[array.shape[1]],
        }
        if not is_float:
            accessor["normalized"] = True
        if name == "POSITION":
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        attributes[name] = len(accessors)
        accessors.append(accessor)
        body.append(data)  # Every array has a multiple of 4 bytes.
    with whole_file(path) as stream:
        for chunk in _glb(body, _json(scene, attributes, accessors, views, sum(map(len, body))), str(path)):
            stream.write(chunk)


def _written(scene: Splats) -> list[tuple[str, NDArray[np.float32] | NDArray[np.uint8]]]:
    """Attribute name -> array [N, width], LUF."""
    opacity = opacities(scene.opacity_logits)[:, None]
    colour = np.concatenate([scene.sh0.astype(np.float64) * SH_C0 + 0.5, opacity], axis=1)
    scales = np.minimum(np.exp(scene.log_scales.astype(np.float64)), MAX_SCALE)
    out: list[tuple[str, NDArray[np.float32] | NDArray[np.uint8]]] = [
        ("POSITION", scene.means),
        ("COLOR_0", to_bytes(colour * 255)),
        (f"{EXTENSION}:ROTATION", np.roll(unit_quats(scene.quats), -1, axis=1)),
        (f"{EXTENSION}:SCALE", scales.astype(np.float32)),
        (f"{EXTENSION}:OPACITY", opacity.astype(np.float32)),
        (f"{EXTENSION}:SH_DEGREE_0_COEF_0", scene.sh0),
    ]
    for degree in range(1, scene.sh_degree + 1):
        first = SH_COUNTS[degree - 1]
        for n in range(2 * degree + 1):
            out.append((f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{n}", scene.shN[:, first + n]))
    return out


def _json(
    scene: Splats, attributes: dict[str, object], accessors: list[Json], views: list[Json], size: int
) -> bytes:
    primitive: Json = {
        "attributes": attributes,
        "mode": 0,
        "extensions": {
            EXTENSION: {
                "kernel": "ellipse",
                "colorSpace": "srgb_rec709_display",
                "sortingMethod": "cameraDistance",
                "projection": "perspective",
            }
        },
    }
    if scene.antialiased:
        primitive["extras"] = {"antialiased": True}
    document: Json = {
        "asset": {"version": "2.0", "generator": "scenepress"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": size}],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _glb(body: list[bytes], text: bytes, path: str) -> list[bytes]:
    text += b" " * (-len(text) % 4)
    size = sum(len(b) for b in body)
    total = 12 + 8 + len(text) + 8 + size
    if total >= 2**32:
        raise FormatError(f"{path}: {total} bytes are more than a .glb can hold")
    head = struct.pack("<4sIIII", GLB_MAGIC, 2, total, len(text), GLB_JSON)
    return [head, text, struct.pack("<II", size, GLB_BIN), *body]
