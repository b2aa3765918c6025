"""A scene that moves as a folder of static scenes, one for each frame, in the order of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from scenepress.errors import FormatError
from scenepress.files import whole_folder
from scenepress.formats import table
from scenepress.formats.files import warn_loss
from scenepress.scene import Splats, SplatSequence

MAX_FRAMES = 1 << 16


class FrameFiles(Sequence[Splats]):
    """Scenes that are read when they are asked for; the last one is kept."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """paths: one for each frame."""
        self.paths = tuple(paths)
        self._last: tuple[int, Splats] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Splats: ...
    @overload
    def __getitem__(self, index: slice) -> FrameFiles: ...
    def __getitem__(self, index: int | slice) -> Splats | FrameFiles:
        if isinstance(index, slice):
            return FrameFiles(self.paths[index])
        number = range(len(self.paths))[index]
        if self._last is None or self._last[0] != number:
            self._last = (number, table.read(self.paths[number]))
        return self._last[1]


def frame_files(folder: Path) -> list[Path]:
    """Scenes of one format in a folder, ordered by the numbers in their names; fewer than two: none."""
    by_suffix: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        found = table.by_suffix(path)
        # Checkpoints in one folder are steps of one training.
        is_scene = found is not None and found.suffixes[0].startswith(".") and found.name != "checkpoint"
        if found is not None and is_scene and path.is_file():
            by_suffix.setdefault(found.name, []).append(path)
    paths = max(by_suffix.values(), key=len, default=[])
    return sorted(paths, key=_natural) if len(paths) > 1 else []


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """frame_9 before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def read_sequence(path: str | Path) -> SplatSequence:
    """The files of a folder as frames, evenly spread over the time from 0 to 1. Frames are read when asked for.

    Raises:
        FormatError: fewer than two scenes of one format, or more than 65,536.
        OSError: the folder cannot be read.
    """
    paths = frame_files(Path(path))
    if not 2 <= len(paths) <= MAX_FRAMES:
        raise FormatError(f"{path}: {len(paths)} scenes of one format; a sequence has 2 to {MAX_FRAMES} of them")
    return SplatSequence(FrameFiles(paths), np.linspace(0, 1, len(paths)))


def write_sequence(
    scene: SplatSequence,
    path: str | Path,
    suffix: str = ".ply",
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write a file for every frame: frame_00000.ply and so on. dynamics.sampled() makes a sequence of a scene.

    Args:
        scene: its times are not kept: a reader spreads the frames evenly.
        path: the folder to make; it appears whole or not at all.
        suffix: of any format that can be written.
        progress: told the fraction done.

    Raises:
        ValueError: fewer than two frames, too many, or no such format.
        OSError: the folder cannot be made, or holds something.
    """
    count = len(scene)
    if not 2 <= count <= MAX_FRAMES:
        raise ValueError(f"{count} frames; a sequence has 2 to {MAX_FRAMES}")
    if not np.allclose(np.diff(scene.times), 1 / (count - 1), atol=1e-6):
        warn_loss(f"{path}: frames at uneven times will be read as evenly spread over the time from 0 to 1")
    with whole_folder(path) as folder:
        for number in range(count):
            table.write(scene.frames[number], folder / f"frame_{number:05d}{suffix}")
            if progress:
                progress((number + 1) / count)
