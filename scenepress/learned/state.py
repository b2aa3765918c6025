"""Where a run of training stands: parameters, moments, what densification has gathered; and its file."""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.scene import SH_COUNTS, Splats

F32 = NDArray[np.float32]

NAMES = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
"""The arrays of a scene, which are what is trained."""
_WIDTHS = {"means": (3,), "quats": (4,), "log_scales": (3,), "opacity_logits": (), "sh0": (3,), "shN": (None, 3)}
_VERSION = 1
FREE_BYTES, SPLAT_BYTES = 1 << 20, 1 << 10
"""A checkpoint has at most so many bytes of any run, and so many of each splat."""
MEMORY = "memory "
"""What the names of State.memory begin with in a file."""


@dataclasses.dataclass
class State:
    """A run after `step` steps. Its arrays change in place."""

    step: int
    """Steps done."""
    started_with: int
    """Splats before the first step."""
    values: dict[str, F32]
    """By NAMES, shaped as in Splats; shN holds only the degrees in use so far."""
    first: dict[str, F32]
    """Adam's first moments, shaped as `values`."""
    second: dict[str, F32]
    """Adam's second moments."""
    pull: F32
    """[N], sum of the lengths of the gradients of centres on the image, in units of half an image, since the
    splats were last multiplied."""
    shown: F32
    """[N], how many of the views since then showed each splat."""
    memory: dict[str, NDArray[np.float64]] = dataclasses.field(default_factory=dict)
    """What else the run must know to go on, by name."""

    def __len__(self) -> int:
        return len(self.pull)

    def splats(self) -> Splats:
        """The scene, sharing memory with the state."""
        return as_splats(self.values)


def as_splats(values: Mapping[str, F32]) -> Splats:
    """The scene of these arrays, by NAMES, sharing memory with them."""
    return Splats(
        means=values["means"],
        quats=values["quats"],
        log_scales=values["log_scales"],
        opacity_logits=values["opacity_logits"],
        sh0=values["sh0"],
        shN=values["shN"],
    )


def start(scene: Splats) -> State:
    """The state before the first step: copies of the scene's arrays, shN left out."""
    return begin(dataclasses.replace(scene, shN=np.zeros((len(scene), 0, 3), np.float32)))


def begin(scene: Splats) -> State:
    """The state before the first step of a run that goes on from all of a scene: copies of its arrays."""
    values = {name: np.array(getattr(scene, name), np.float32, order="C") for name in NAMES}
    first, second = ({name: np.zeros_like(array) for name, array in values.items()} for _ in range(2))
    pull, shown = (np.zeros(len(scene), np.float32) for _ in range(2))
    return State(0, len(scene), values, first, second, pull, shown)


def raise_degree(state: State, degree: int) -> None:
    """Let shN hold coefficients up to `degree`, the new ones zero."""
    missing = SH_COUNTS[degree] - state.values["shN"].shape[1]
    if missing > 0:
        more = np.zeros((len(state), missing, 3), np.float32)
        for arrays in (state.values, state.first, state.second):
            arrays["shN"] = np.concatenate([arrays["shN"], more], axis=1)


def save(state: State, stream: BinaryIO, run: str) -> None:
    """Write a checkpoint: an .npz without pickles. `run` names the settings and data that the state belongs to."""
    arrays: dict[str, NDArray[np.generic]] = {
        "version": np.array(_VERSION),
        "run": np.array(run),
        "step": np.array(state.step),
        "started_with": np.array(state.started_with),
        "pull": state.pull,
        "shown": state.shown,
    }
    arrays |= {MEMORY + name: array for name, array in state.memory.items()}
    for name in NAMES:
        arrays |= {name: state.values[name], f"{name}_1": state.first[name], f"{name}_2": state.second[name]}
    np.savez(stream, **arrays)  # type: ignore[arg-type]


def is_checkpoint(path: Path) -> bool:
    """Whether save() may have written that file; nothing is unpacked."""
    try:
        with zipfile.ZipFile(path) as file:
            return {"version.npy", "run.npy", "step.npy"} <= set(file.namelist())
    except (zipfile.BadZipFile, ValueError, RuntimeError):  # What zipfile says of features it lacks.
        return False


def load(stream: BinaryIO, run: str, where: str, most: int) -> State:
    """Read a checkpoint.

    Args:
        stream: what save() wrote.
        run: as save() was given.
        where: the file's name, for errors.
        most: splats that the run may have; larger files are refused before they are unpacked.

    Raises:
        FormatError: no such file, a damaged one, or one of another run.
    """
    try:
        with zipfile.ZipFile(stream) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
        if unpacked > FREE_BYTES + SPLAT_BYTES * most:
            raise FormatError(f"{where}: {unpacked:,} bytes unpacked, too many for a checkpoint of this run")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if int(arrays["version"]) != _VERSION:
            raise FormatError(f"{where}: a checkpoint of version {arrays['version']}, not {_VERSION}")
        if str(arrays["run"]) != run:
            raise FormatError(f"{where}: a checkpoint of another scene, other photographs or settings")
        return _state(arrays, where)
    except (
        KeyError, ValueError, TypeError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where}: not a checkpoint of training, or a damaged one: {str(error)[:80]}") from None


def _state(arrays: dict[str, NDArray[np.generic]], where: str) -> State:
    def checked(name: str, tail: tuple[int | None, ...]) -> F32:
        array = arrays[name]
        shape = array.shape[1:]
        fits = len(shape) == len(tail) and all(want in (None, got) for want, got in zip(tail, shape, strict=True))
        if array.dtype != np.float32 or array.ndim == 0 or len(array) != len(arrays["means"]) or not fits:
            raise FormatError(f"{where}: {name} is {array.dtype} {list(array.shape)}: damaged")
        if not np.isfinite(array).all():
            raise FormatError(f"{where}: {name} is not finite: damaged")
        return np.ascontiguousarray(array, np.float32)

    def remembered(name: str) -> NDArray[np.float64]:
        array = arrays[name]
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise FormatError(f"{where}: {name} is {array.dtype}, or not finite: damaged")
        return np.asarray(array, np.float64)

    values, first, second = (
        {name: checked(name + suffix, _WIDTHS[name]) for name in NAMES} for suffix in ("", "_1", "_2")
    )
    for moments in (first, second):
        if moments["shN"].shape != values["shN"].shape:
            raise FormatError(f"{where}: moments and values of shN differ in shape: damaged")
    as_splats(values)  # Refuses impossible numbers of coefficients.
    counters = int(arrays["step"]), int(arrays["started_with"])
    memory = {name.removeprefix(MEMORY): remembered(name) for name in arrays if name.startswith(MEMORY)}
    return State(*counters, values, first, second, checked("pull", ()), checked("shown", ()), memory)
