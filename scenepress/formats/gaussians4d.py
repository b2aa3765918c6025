"""Checkpoints of 4DGaussians: canonical splats (point_cloud.ply) and a deformation field (deformation.pth).

A model folder holds cfg_args and point_cloud/iteration_N. cfg_args is a line of Python that the trainer evaluates;
here it is parsed, never run. It alone says which heads move something: the trainer saves all five in any case.
deformation_table.pth marks the splats that training deforms; renders deform all, so it plays no part here.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.files import whole_folder
from scenepress.formats.files import read_bytes, warn_loss
from scenepress.formats.ply import read_ply, write_ply
from scenepress.formats.torch_files import float_array, load_torch
from scenepress.scene import PLANE_AXES, Deformation, DynamicSplats, Head, Linear, Splats

Floats = NDArray[np.float32]

NET = "deformation_net."
HEADS = {
    "position": ("pos_deform", "no_dx", 3), "scale": ("scales_deform", "no_ds", 3),
    "rotation": ("rotations_deform", "no_dr", 4), "opacity": ("opacity_deform", "no_do", 1),
    "sh": ("shs_deform", "no_dshs", 48),
}  # fmt: skip
"""Field of Deformation -> name in the checkpoint, the option that turns it off, outputs."""
DEFAULTS = {"no_dx": False, "no_ds": False, "no_dr": False, "no_do": True, "no_dshs": True}
"""Of the trainer, for checkpoints without cfg_args."""
_REFUSED = ("no_grid", "empty_voxel", "static_mlp", "apply_rotation", "grid_pe")
"""Options of other models that share the format; the trainer calls all but the first and fourth useless."""
_MAX_SETTINGS = 1 << 20
_MOST = 64
"""Levels, and layers, at most."""
_EXTRA = {"timenet.0": (64, 9), "timenet.2": (32, 64)}
"""Layers that the trainer keeps and never uses; its loader insists on them."""
_BUFFERS = {"time_poc": 4, "pos_poc": 10, "rotation_scaling_poc": 2, "opacity_poc": 2}


def is_4dgaussians(path: Path) -> bool:
    """Whether a folder is a model or one of its iterations."""
    return (path / "deformation.pth").is_file() or any(path.glob("point_cloud/iteration_*/deformation.pth"))


def read_4dgaussians(path: str | Path) -> DynamicSplats:
    """Read a 4DGaussians checkpoint.

    Args:
        path: the model's folder, of which the last iteration is taken, or the folder of an iteration.

    Returns:
        The scene, axes RDF. Heads that cfg_args turns off are left out.

    Raises:
        FormatError: damaged, holding more than tensors, of another model, or incomplete.
        ModuleNotFoundError: torch is not installed.
        OSError: a file cannot be read.
    """
    folder = _iteration(Path(path))
    splats = read_ply(folder / "point_cloud.ply")
    weights = folder / "deformation.pth"
    options = _options(folder)
    deformation = _deformation(load_torch(weights), options, weights)
    return DynamicSplats(splats, _cut_sh(deformation, splats))


def _iteration(path: Path) -> Path:
    if not path.is_dir():
        raise FormatError(f"{path}: not a folder with point_cloud.ply and deformation.pth, nor a model's")
    found = path
    if not (path / "deformation.pth").is_file():
        iterations = [p for p in path.glob("point_cloud/iteration_*") if re.fullmatch(r"iteration_\d+", p.name)]
        if not iterations:
            raise FormatError(f"{path}: neither deformation.pth nor point_cloud/iteration_N is in this folder")
        found = max(iterations, key=lambda p: int(p.name.rpartition("_")[2]))
    if found.name.startswith("coarse_"):
        raise FormatError(f"{found}: of the coarse stage, whose deformation is not in use; read an iteration_N")
    for name in ("point_cloud.ply", "deformation.pth"):
        if not (found / name).is_file():
            raise FormatError(f"{found}: {name} is missing")
    return found


def _options(folder: Path) -> dict[str, object]:
    """The options of cfg_args, in the iteration's folder or the model's, over the trainer's defaults."""
    for place in (folder, *folder.parents[:2]):
        path = place / "cfg_args"
        if path.is_file():
            return DEFAULTS | _namespace(read_bytes(path, "settings", _MAX_SETTINGS), path)
    warn_loss(f"{folder}: no cfg_args, so opacity and SH are taken to keep still, as is the trainer's default")
    return dict(DEFAULTS)


def _namespace(text: bytes, path: Path) -> dict[str, object]:
    """Namespace(a=1, b=[2]) as a dictionary; values that are no literals are left out."""
    try:
        call = ast.parse(text.decode("utf-8").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormatError(f"{path}: not the line Namespace(...): {error}") from None
    if not isinstance(call, ast.Call):
        raise FormatError(f"{path}: not the line Namespace(...)")
    found: dict[str, object] = {}
    for keyword in call.keywords:
        try:
            found[keyword.arg or ""] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError, MemoryError):
            continue
    return found


def _deformation(tensors: Mapping[object, object], options: Mapping[str, object], path: Path) -> Deformation:
    refused = [name for name in _REFUSED if options.get(name)]
    if refused:
        raise FormatError(f"{path}: trained with {', '.join(refused)}, which are not read")
    bounds = float_array(tensors, f"{NET}grid.aabb", path, 2, 3)
    levels: list[tuple[Floats, ...]] = []
    while f"{NET}grid.grids.{len(levels)}.0" in tensors and len(levels) < _MOST:
        names = [f"{NET}grid.grids.{len(levels)}.{i}" for i in range(len(PLANE_AXES))]
        levels.append(tuple(float_array(tensors, name, path, 1, None, None, None)[0] for name in names))
    trunk: list[Linear] = []
    while f"{NET}feature_out.{2 * len(trunk)}.weight" in tensors and len(trunk) < _MOST:
        trunk.append(_linear(tensors, f"{NET}feature_out.{2 * len(trunk)}", path))
    heads: dict[str, Head] = {}
    for field, (name, option, _) in HEADS.items():
        if options.get(option):
            continue
        if field == "sh" and f"{NET}{name}.1.weight" not in tensors:
            warn_loss(f"{path}: of a trainer that does not move SH")
            continue
        heads[field] = Head(*(_linear(tensors, f"{NET}{name}.{i}", path) for i in (1, 3)))
    try:
        return Deformation(bounds, tuple(levels), tuple(trunk), **heads)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None


def _linear(tensors: Mapping[object, object], name: str, path: Path) -> Linear:
    weight = float_array(tensors, f"{name}.weight", path, None, None)
    return Linear(weight, float_array(tensors, f"{name}.bias", path, len(weight)))


def _cut_sh(deformation: Deformation, splats: Splats) -> Deformation:
    """Outputs of the SH head beyond the coefficients that the splats have are left out."""
    head, wanted = deformation.sh, 3 * (1 + splats.shN.shape[1])
    if head is None or len(head.out.bias) <= wanted:
        return deformation
    out = Linear(head.out.weight[:wanted].copy(), head.out.bias[:wanted].copy())
    return dataclasses.replace(deformation, sh=Head(head.hidden, out))


def write_4dgaussians(scene: DynamicSplats, path: str | Path, iteration: int = 20_000) -> None:
    """Write a model's folder that 4DGaussians loads and renders: cfg_args and point_cloud/iteration_N.

    SH below degree 3 is filled up with zeros, as the trainer has no other. Heads that there are not are zeros, and
    turned off.

    Args:
        scene: in RDF axes, as the field cannot be turned.
        path: the folder to make; it appears whole or not at all.
        iteration: N.

    Raises:
        FormatError: a scene of other axes.
        ModuleNotFoundError: torch is not installed.
        OSError: the folder cannot be made, or holds something.
    """
    if scene.canonical.axes != "RDF":
        raise FormatError(f"{path}: a scene in {scene.canonical.axes} axes; the format has RDF")
    import torch

    splats = scene.canonical
    full = np.zeros((len(splats), 15, 3), np.float32)
    full[:, : splats.shN.shape[1]] = splats.shN
    with whole_folder(path) as folder:
        (folder / "cfg_args").write_text(_settings(scene), "utf-8")
        inner = folder / f"point_cloud/iteration_{iteration}"
        inner.mkdir(parents=True)
        write_ply(dataclasses.replace(splats, shN=full), inner / "point_cloud.ply")
        state = {name: torch.from_numpy(np.array(values)) for name, values in _state(scene.deformation).items()}
        torch.save(state, inner / "deformation.pth")
        torch.save(torch.ones(len(splats), dtype=torch.bool), inner / "deformation_table.pth")
        torch.save(torch.zeros(len(splats), 3), inner / "deformation_accum.pth")


def _state(deformation: Deformation) -> dict[str, Floats]:
    """All tensors of deformation.pth by name."""
    state: dict[str, Floats] = {}
    for name, shape in _EXTRA.items():
        state |= {f"{name}.weight": np.zeros(shape, np.float32), f"{name}.bias": np.zeros(shape[0], np.float32)}
    state |= {name: (2.0 ** np.arange(count)).astype(np.float32) for name, count in _BUFFERS.items()}
    state[f"{NET}grid.aabb"] = deformation.bounds
    for number, level in enumerate(deformation.planes):
        state |= {f"{NET}grid.grids.{number}.{i}": plane[None] for i, plane in enumerate(level)}
    layers = {f"feature_out.{2 * i}": layer for i, layer in enumerate(deformation.trunk)}
    width = len(deformation.trunk[-1].bias)
    for field, (name, _, outputs) in HEADS.items():
        head = deformation.heads.get(field) or Head(_zeros(width, width), _zeros(outputs, width))
        layers |= {f"{name}.1": head.hidden, f"{name}.3": _filled(head.out, outputs)}
    for name, layer in layers.items():
        state |= {f"{NET}{name}.weight": layer.weight, f"{NET}{name}.bias": layer.bias}
    return state


def _zeros(outputs: int, inputs: int) -> Linear:
    return Linear(np.zeros((outputs, inputs), np.float32), np.zeros(outputs, np.float32))


def _filled(layer: Linear, outputs: int) -> Linear:
    """With zeros for outputs that are missing."""
    whole = _zeros(outputs, layer.weight.shape[1])
    whole.weight[: len(layer.bias)] = layer.weight
    whole.bias[: len(layer.bias)] = layer.bias
    return whole


def _settings(scene: DynamicSplats) -> str:
    """The line of cfg_args: what the trainer's loader needs to build the same networks."""
    field = scene.deformation
    first = field.planes[0]
    (channels, y, x), (_, t, _), (_, z, _) = first[0].shape, first[2].shape, first[1].shape
    grid = {
        "grid_dimensions": 2, "input_coordinate_dim": 4, "output_coordinate_dim": channels,
        "resolution": [x, y, z, t],
    }  # fmt: skip
    values: dict[str, object] = {
        "sh_degree": 3, "source_path": "", "model_path": "", "white_background": False,
        "net_width": len(field.trunk[0].bias), "defor_depth": len(field.trunk),
        "bounds": float(np.abs(field.bounds).max()), "kplanes_config": grid,
        "multires": [level[0].shape[2] // x for level in field.planes],
        "timebase_pe": 4, "posebase_pe": 10, "scale_rotation_pe": 2, "opacity_pe": 2, "timenet_width": 64,
        "timenet_output": 32, "grid_pe": 0, "no_grid": False, "empty_voxel": False, "static_mlp": False,
        "apply_rotation": False,
        **{option: name not in field.heads for name, (_, option, _) in HEADS.items()},
    }  # fmt: skip
    return f"Namespace({', '.join(f'{name}={value!r}' for name, value in values.items())})"
