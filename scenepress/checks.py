"""What every command reads and checks before its work, and how it shows that it is at work."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from scenepress import api, cli, quality, render
from scenepress.cli import UsageError
from scenepress.errors import FormatError
from scenepress.scene import Camera, Splats

BLACK, WHITE, GREY = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)
BACKGROUNDS: dict[str, quality.Background | None] = {"both": None, "black": BLACK, "white": WHITE, "grey": GREY}
MAX_VIEWS, MAX_WIDTH = 10_000, 16_384


def load(path: Path, drop_invalid: bool = False, *, refuse: bool = False) -> Splats:
    """Read a scene, and drop, refuse or at least say what is wrong with it."""
    from scenepress import scene_ops

    scene = api.load(path)
    found = scene_ops.audit(scene)
    if not found.invalid:
        return scene
    if not drop_invalid:
        if refuse:
            raise FormatError(
                f"{path}: {found}; --drop-invalid leaves them out, --preset lossless keeps them"
            )
        cli.warn(f"{path}: {found}")
        return scene
    cli.warn(f"{path}: {found}; left out")
    return scene_ops.drop_invalid(scene)


def read_cameras(path: Path, width: int | None = None) -> list[Camera]:
    """The cameras of a file, in its own axes; at least one."""
    from scenepress import cameras

    found = list(cameras.read_cameras(path, width))
    if not found:
        raise FormatError(f"{path}: holds no camera")
    return found


def read_cameras_of(path: Path, scene: Splats, width: int | None = None) -> list[Camera]:
    """The cameras of a file, in the axes of the scene."""
    cameras = [api.camera_in_axes(camera, scene.axes) for camera in read_cameras(path, width)]
    try:
        api.require_seen(scene, cameras)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    return cameras


def require_other_file(source: Path, output: Path) -> None:
    """No output may replace the input."""
    if os.path.realpath(source) == os.path.realpath(output):
        raise UsageError(f"{output} is the input: name another output")


def require_place(output: Path) -> None:
    """Say that nothing can be written there before the work rather than after it."""
    folder = Path(os.path.realpath(output)).parent  # Links are followed, and the file is replaced where it is.
    if not output.parent.is_dir() or not folder.is_dir():
        problem = errno.ENOENT
    elif output.is_dir():
        problem = errno.EISDIR
    elif (output.is_file() or not output.exists()) and not os.access(folder, os.W_OK | os.X_OK):
        problem = errno.EACCES
    else:
        return
    raise OSError(problem, os.strerror(problem), str(output))


def require_new_folder(output: Path) -> None:
    """Refuse a file, or a folder that holds something. Raises UsageError."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} exists: name a new folder")


def require_checkpoint(path: Path, resume: bool) -> None:
    """Refuse what would replace another file, or cannot be written. `resume`: it will be read first."""
    from scenepress.learned.state import is_checkpoint

    if path.suffix.lower() != ".npz":
        raise UsageError(f"--checkpoint {path}: its name must end in .npz")
    require_place(path)
    if not resume and path.is_file() and not is_checkpoint(path):
        raise UsageError(f"--checkpoint {path}: there is a file that is no checkpoint: name another")


def require_writable(output: Path) -> None:
    """Refuse an unknown suffix before the work rather than after it."""
    from scenepress.formats import table

    if output.suffix.lower() == ".press":
        raise UsageError(f"{output}: .press files are written by `scenepress compress`")
    found = table.by_suffix(output)
    if found is None or found.write is None:
        known = ", ".join(suffix for f in table.FORMATS if f.write for suffix in f.suffixes)
        raise UsageError(f"{output}: cannot write this file type; known are {known}")
    if found.name != "sog folder":  # Whose folder is made.
        require_place(output)


def require_measurable(cameras: Sequence[Camera]) -> None:
    """Metrics need views of some size."""
    for camera in cameras:
        if min(camera.width, camera.height) < quality.SSIM_MIN_SIDE:
            size = f"{camera.width} x {camera.height} pixels"
            raise UsageError(f"views of {size} are too small: {quality.SSIM_MIN_SIDE} a side are needed")


def require_range(option: str, value: int | None, most: int) -> None:
    """1 to `most`, or not given."""
    if value is not None and not 1 <= value <= most:
        raise UsageError(f"{option} {value}: must be in 1..{most}")


def require_seed(seed: int) -> None:
    """0 to 2^63 - 1. Raises UsageError."""
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"--seed {seed}: must be in 0..2^63-1")


def require_backend(wanted: cli.Backend) -> render.TrainingBackend:
    """The backend that --backend means here. Raises UsageError: it cannot run, and what it needs."""
    if wanted != "auto" and (missing := render.missing_for(wanted)):
        raise UsageError(f"--backend {wanted} needs {missing}")
    return render.training_backend(wanted)


@contextlib.contextmanager
def progress() -> Iterator[quality.Progress]:
    """A bar on a terminal's stderr, shown only once the work has taken 2 seconds."""
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}, {remaining} to go"
    with tqdm(total=1.0, delay=2, disable=None, leave=False, bar_format=layout) as bar:

        def show(what: str, done: float) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(max(0.0, done - bar.n))

        yield show


@contextlib.contextmanager
def noticed(wanted: type[Warning]) -> Iterator[list[str]]:
    """Warnings of the wanted category are shown as ever, and put on the list."""
    found: list[str] = []
    usual = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        if issubclass(category, wanted):
            found.append(str(message))
        usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield found
    finally:
        warnings.showwarning = usual
