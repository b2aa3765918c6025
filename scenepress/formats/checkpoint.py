"""Training checkpoints of nerfstudio's splatfacto (.ckpt) and gsplat's simple_trainer (.pt). Read only.

Loaded with torch's restricted unpickler only, which builds tensors and plain containers and runs nothing
else. Splatfacto trains in coordinates of its own; dataparser_transforms.json beside the
checkpoint tells how to return to the cameras' world, which is what read_checkpoint() gives. YAML settings
are not parsed, just searched for the one line that tells whether training was antialiased.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.formats.files import read_bytes, warn_loss
from scenepress.formats.torch_files import float_array, load_torch
from scenepress.formats.values import SH_C0, opacities
from scenepress.scene import SH_COUNTS, Splats
from scenepress.scene_ops import transform

MAX_SETTINGS = 1 << 20
"""Bytes of a settings file that are looked at."""
_GSPLAT = ("means", "quats", "scales", "opacities", "sh0", "shN")
_SPLATFACTO = ("means", "quats", "scales", "opacities", "features_dc", "features_rest")

Floats = NDArray[np.float32]


def read_checkpoint(path: str | Path) -> Splats:
    """Read a splatfacto or gsplat checkpoint.

    Args:
        path: a .ckpt or .pt file, or a folder: that of a run, or its nerfstudio_models or ckpts; the
            latest checkpoint in it is read.

    Returns:
        The scene, axes RDF (those of the COLMAP world that the cameras were given in).

    Raises:
        FormatError: damaged, of a torch older than 1.6, holding more than tensors, or no such checkpoint.
        ModuleNotFoundError: torch is not installed.
        OSError: the file cannot be read.
    """
    path = find_checkpoint(Path(path))
    content = load_torch(path)
    tensors = content.get("splats")
    if isinstance(tensors, Mapping):
        return _gsplat(tensors, path)
    pipeline = content.get("pipeline")
    if isinstance(pipeline, Mapping):
        return _splatfacto(pipeline, path)
    raise FormatError(f"{path}: neither a splatfacto checkpoint ('pipeline') nor a gsplat one ('splats')")


def find_checkpoint(path: Path) -> Path:
    """`path` itself if it is a file, else the latest checkpoint in a run's folder."""
    if not path.is_dir():
        return path
    for pattern in ("step-*.ckpt", "nerfstudio_models/step-*.ckpt", "ckpt_*.pt", "ckpts/ckpt_*.pt"):
        found = [p for p in path.glob(pattern) if re.search(r"\d", p.stem)]
        if found:
            return max(found, key=lambda p: (int(re.findall(r"\d+", p.stem)[0]), p.name.count("rank0")))
    raise FormatError(f"{path}: a folder without step-*.ckpt or ckpt_*.pt")


def _sh(dc: Floats, rest: Floats, path: Path) -> Floats:
    if len(dc) != len(rest):
        raise FormatError(f"{path}: tensors differ in length")
    if rest.shape[1] not in (*SH_COUNTS.values(), 24):
        raise FormatError(f"{path}: {rest.shape[1]} SH coefficients; degree 0 to 3 has 0, 3, 8 or 15")
    if rest.shape[1] == 24:
        warn_loss(f"{path}: SH of degree 4 is cut to degree 3")
    return np.ascontiguousarray(rest[:, : SH_COUNTS[3]])


def _scene(arrays: tuple[Floats, Floats, Floats, Floats], sh0: Floats, shN: Floats, antialiased: bool,
           path: Path) -> Splats:  # fmt: skip
    means, quats, scales, opacity = arrays
    if len({len(a) for a in (*arrays, sh0, shN)}) > 1:
        raise FormatError(f"{path}: tensors differ in length")
    return Splats(means, quats, scales, opacity, sh0, shN, antialiased=antialiased, axes="RDF")


def _gsplat(tensors: Mapping[object, object], path: Path) -> Splats:
    missing = [key for key in _GSPLAT if key not in tensors]
    if missing:
        raise FormatError(f"{path}: a gsplat checkpoint without {', '.join(missing)}")
    others = {int(r) for p in path.parent.glob("ckpt_*_rank*.pt") for r in re.findall(r"_rank(\d+)", p.stem)}
    if len(others) > 1:
        warn_loss(f"{path}: one of {len(others)} parts of a scene trained on several GPUs; others are left out")
    dc = float_array(tensors, "sh0", path, None, 1, 3)
    shN = _sh(dc, float_array(tensors, "shN", path, None, None, 3), path)
    arrays = (
        float_array(tensors, "means", path, None, 3),
        float_array(tensors, "quats", path, None, 4),
        float_array(tensors, "scales", path, None, 3),
        float_array(tensors, "opacities", path, None),
    )
    antialiased = _setting(path.parent.parent / "cfg.yml", r"^antialiased:\s*true\s*$")
    return _scene(arrays, np.ascontiguousarray(dc[:, 0]), shN, antialiased, path)


def _splatfacto(pipeline: Mapping[object, object], path: Path) -> Splats:
    prefix = next(
        (p for p in ("_model.gauss_params.", "_model.") if f"{p}means" in pipeline),
        None,
    )
    if prefix is None:
        raise FormatError(f"{path}: a nerfstudio checkpoint of another model than splatfacto")
    missing = [key for key in _SPLATFACTO if prefix + key not in pipeline]
    if missing:
        raise FormatError(f"{path}: a splatfacto checkpoint without {', '.join(missing)}")
    dc = float_array(pipeline, f"{prefix}features_dc", path, None, 3)
    shN = _sh(dc, float_array(pipeline, f"{prefix}features_rest", path, None, None, 3), path)
    if not shN.shape[1]:  # Trained without SH, it keeps logits of the colour here.
        dc = ((opacities(dc) - 0.5) / SH_C0).astype(np.float32)
    arrays = (
        float_array(pipeline, f"{prefix}means", path, None, 3),
        float_array(pipeline, f"{prefix}quats", path, None, 4),
        float_array(pipeline, f"{prefix}scales", path, None, 3),
        float_array(pipeline, f"{prefix}opacities", path, None, 1)[:, 0],
    )
    run = path.parent.parent
    antialiased = _setting(run / "config.yml", r"^\s*rasterize_mode:\s*['\"]?antialiased['\"]?\s*$")
    return _in_camera_world(_scene(arrays, dc, shN, antialiased, path), run / "dataparser_transforms.json")


def _setting(path: Path, pattern: str) -> bool:
    """Whether a line of a settings file matches; False if there is no file."""
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        text = stream.read(MAX_SETTINGS).decode("utf-8", "replace")
    return re.search(pattern, text, re.MULTILINE) is not None


def _in_camera_world(splats: Splats, path: Path) -> Splats:
    """Undo x -> scale * (rotation @ x + translation)."""
    if not path.is_file():
        warn_loss(f"{path}: is missing, so the scene stays in the trainer's own coordinates")
        return splats
    try:
        content = json.loads(read_bytes(path, "transforms", MAX_SETTINGS))
        matrix = np.array(content["transform"], np.float64)
        scale = float(content["scale"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise FormatError(f"{path}: no transform and scale: {error}") from None
    if matrix.shape != (3, 4) or not np.abs(matrix).max() < 1e30 or not 1e-30 < scale < 1e30:
        raise FormatError(f"{path}: no transform of 3x4 numbers and a positive scale")
    inverse = matrix[:, :3].T
    try:
        return transform(splats, inverse, -inverse @ matrix[:, 3], 1 / scale)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
