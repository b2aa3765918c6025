"""The file of a run of train4d in its second stage: an .npz without pickles, the state of the splats inside."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.learned import field, state
from scenepress.learned.field import F32, FieldSettings, FieldState
from scenepress.learned.train4d import State4d

_VERSION = 1
_MOMENTS = ("", "_1", "_2")
"""What is appended to the names of values and of Adam's moments."""


def save(run: State4d, stream: BinaryIO, name: str) -> None:
    """Write a checkpoint. `name` names the settings and data that the state belongs to."""
    inner = io.BytesIO()
    state.save(run.splats, inner, name)
    arrays: dict[str, NDArray[np.generic]] = {
        "version4d": np.array(_VERSION),
        "splats": np.frombuffer(inner.getvalue(), np.uint8),
        "bounds": run.field.flat.bounds,
        "planes": run.field.flat.planes,
        "weights": run.field.flat.weights,
        **run.field.moments,
    }
    np.savez(stream, **arrays)  # type: ignore[arg-type]


def load(stream: BinaryIO, name: str, where: str, most: int, settings: FieldSettings) -> State4d:
    """Read a checkpoint.

    Args:
        stream: what save() wrote.
        name: as save() was given.
        where: the file's name, for errors.
        most: splats that the run may have; larger files are refused before they are unpacked.
        settings: of the field.

    Raises:
        FormatError: no such file, a damaged one, or one of another run.
    """
    wanted = field.blank(settings)
    planes, weights = wanted.flat.planes.size, wanted.flat.weights.size
    limit = 12 * (planes + weights) + 2 * state.FREE_BYTES + state.SPLAT_BYTES * most
    try:
        with zipfile.ZipFile(stream) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
        if unpacked > limit:
            raise FormatError(f"{where}: {unpacked:,} bytes unpacked, too many for a checkpoint of this run")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        if int(arrays["version4d"]) != _VERSION:
            raise FormatError(f"{where}: a checkpoint of version {arrays['version4d']}, not {_VERSION}")
        splats = state.load(io.BytesIO(arrays["splats"].tobytes()), name, where, most)
        bounds = _checked(arrays, "bounds", (2, 3), where)
        shapes = {f"planes{suffix}": (planes,) for suffix in _MOMENTS}
        shapes |= {f"weights{suffix}": (weights,) for suffix in _MOMENTS}
        found = {key: _checked(arrays, key, shape, where) for key, shape in shapes.items()}
    except (
        KeyError, ValueError, TypeError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{where}: not a checkpoint of such training, or damaged: {str(error)[:80]}") from None
    flat = wanted.flat._replace(bounds=bounds, planes=found.pop("planes"), weights=found.pop("weights"))
    return State4d(splats, FieldState(flat, wanted.heads, found))


def _checked(arrays: dict[str, NDArray[np.generic]], key: str, shape: tuple[int, ...], where: str) -> F32:
    array = arrays[key]
    if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
        raise FormatError(f"{where}: {key} is {array.dtype} {list(array.shape)}, or not finite: damaged")
    return np.ascontiguousarray(array, np.float32)
