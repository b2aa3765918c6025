"""The one list of formats of scenes that change with time, and reading and writing by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from scenepress.errors import FormatError
from scenepress.files import require_regular
from scenepress.formats.gaussians4d import is_4dgaussians, read_4dgaussians, write_4dgaussians
from scenepress.formats.sequence import frame_files, read_sequence, write_sequence
from scenepress.formats.spacetime import is_spacetime, read_spacetime, write_spacetime
from scenepress.formats.splatv import MAGIC, read_splatv, write_splatv
from scenepress.scene import Dynamic, DynamicSplats, PolynomialSplats, SplatSequence


@dataclasses.dataclass(frozen=True)
class DynamicFormat:
    """One line of the table."""

    name: str
    read: Callable[[str | Path], Dynamic]
    write: Callable[..., None]
    kind: type
    """Of the scenes that it holds."""


FORMATS = (
    DynamicFormat("4DGaussians folder", read_4dgaussians, write_4dgaussians, DynamicSplats),
    DynamicFormat("SpacetimeGaussians ply", read_spacetime, write_spacetime, PolynomialSplats),
    DynamicFormat("splatv", read_splatv, write_splatv, PolynomialSplats),
    DynamicFormat("sequence folder", read_sequence, write_sequence, SplatSequence),
)


def by_name(name: str) -> DynamicFormat:
    """The format called `name`."""
    return next(f for f in FORMATS if f.name == name)


def identify(path: str | Path) -> DynamicFormat | None:
    """The format of a scene that changes with time; None if it is not one.

    Raises:
        FormatError: a pipe or device.
        OSError: nothing there, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        if is_4dgaussians(path):
            return by_name("4DGaussians folder")
        return by_name("sequence folder") if frame_files(path) else None
    require_regular(path)
    with open(path, "rb") as stream:
        head = stream.read(4)
        if head == MAGIC.to_bytes(4, "little"):
            return by_name("splatv")
        if head[:3] == b"ply" and is_spacetime(stream, str(path)):
            return by_name("SpacetimeGaussians ply")
    return None


def read(path: str | Path) -> Dynamic:
    """Read a scene that changes with time.

    Raises:
        FormatError: damaged, or no such scene.
        ModuleNotFoundError: a 4DGaussians checkpoint, and torch is not installed.
        OSError: a file cannot be read.
    """
    found = identify(path)
    if found is None:
        known = ", ".join(f.name for f in FORMATS)
        raise FormatError(f"{path}: not a scene that changes with time; known are {known}")
    return found.read(path)
