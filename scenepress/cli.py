"""The command line: arguments, exit codes, and nothing else; commands.py does the work.

Only tyro and the standard library are imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TextIO, TypeVar, Union

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from scenepress import usage

T = TypeVar("T")


def _whole_number(words: list[str]) -> int:
    try:
        return int(words[0])
    except ValueError:
        raise ValueError(f"{words[0]!r} is not a whole number") from None


def _number(words: list[str]) -> float:
    try:
        return float(words[0])
    except ValueError:
        raise ValueError(f"{words[0]!r} is not a number") from None


def _spec(metavar: str, read: Callable[[list[str]], T], kind: type[T]) -> PrimitiveConstructorSpec[T | None]:
    """How an option is read, perhaps one without a default: the type alone would make a bad one's message speak of
    types."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def _count(metavar: str) -> PrimitiveConstructorSpec[int | None]:
    """A whole number."""
    return _spec(metavar, _whole_number, int)


def _decimal(metavar: str) -> PrimitiveConstructorSpec[float | None]:
    """A number."""
    return _spec(metavar, _number, float)


Preset = Literal["lossless", "high", "balanced", "small", "tiny"]
Background = Literal["black", "white", "grey"]
Backgrounds = Literal["both", "black", "white", "grey"]
Backend = Literal["auto", "cpu", "cuda", "gsplat"]
Json = Annotated[bool, arg(name="json")]
CameraFile = Annotated[Path | None, arg(metavar="FILE")]


class UsageError(Exception):
    """What was asked makes no sense, whatever the files hold; exit code 2."""


@dataclasses.dataclass(frozen=True)
class Compress:
    """Compress a scene into one .press file, and measure how good it is."""

    source: Annotated[Positional[Path], arg(metavar="IN")]
    """Any supported scene file."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="OUT.press")]
    """The file to write."""
    preset: Preset = "balanced"
    """How small, or how good; lossless keeps every bit."""
    target_mb: Annotated[float | None, _decimal("MB")] = None
    """Instead of a preset: a file of at most so many million bytes, and at least 99% of them."""
    target_psnr: Annotated[float | None, _decimal("DB")] = None
    """Instead of a preset: renders within 0.1 dB of this PSNR against the source's."""
    cameras: CameraFile = None
    """transforms.json, cameras.json or a COLMAP folder: where the scene is seen from."""
    distill: Annotated[int | None, _count("N")] = None
    """Train what is left for N steps to look like the scene: takes minutes, and pays where files are small."""
    images: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """With --distill: photographs of --cameras to look like, instead of the scene's own renders."""
    seed: Annotated[int, _count("N")] = 0
    """With --distill: the same seed, scene and machine give the same file."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE.npz")] = None
    """With --distill: write the state of the work there every 200 steps."""
    resume: bool = False
    """With --distill: go on from --checkpoint."""
    backend: Backend = "auto"
    """With --distill: what renders and gives the gradients; auto: a GPU where one can be used."""
    context_model: Literal["auto", "tables", "learned"] = "auto"
    """learned: 1 to 4% fewer bytes, twice the time to decode; auto: with --distill only."""
    keep_order: bool = False
    """Decode the splats in the order they have in IN (lossless always does)."""
    drop_invalid: bool = False
    """Leave out splats with non-finite or absurd values."""
    report: Annotated[Path | None, arg(metavar="FILE.html")] = None
    """Also write a self-contained report, and its JSON twin beside it."""
    background: Backgrounds = "both"
    """Behind the splats where the report measures; both: means over black and white, pictures over black."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class Prune:
    """Leave out the splats whose absence shows least."""

    source: Annotated[Positional[Path], arg(metavar="IN")]
    """Any supported scene file."""
    output: Annotated[Positional[Path], arg(metavar="OUT")]
    """The file to write; its suffix names the format."""
    keep: Annotated[float | None, _decimal("SHARE")] = None
    """Keep this share of the splats, above 0 and at most 1."""
    max_loss_db: Annotated[float | None, _decimal("DB")] = None
    """Leave out as many as cost at most so many dB against photographs."""
    model_psnr: Annotated[float | None, _decimal("DB")] = None
    """What the scene itself reaches against photographs, in dB: 30."""
    cameras: CameraFile = None
    """transforms.json, cameras.json or a COLMAP folder: where the scene is seen from."""
    distill: Annotated[int | None, _count("N")] = None
    """Then train the splats that are left for N steps to look like the scene."""
    images: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """With --distill: photographs of --cameras to look like, instead of the scene's own renders."""
    background: Background = "black"
    """With --images: behind photographs with transparency."""
    seed: Annotated[int, _count("N")] = 0
    """With --distill: the same seed, scene and machine give the same scene."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE.npz")] = None
    """With --distill: write the state of the work there every 200 steps."""
    resume: bool = False
    """With --distill: go on from --checkpoint."""
    backend: Backend = "auto"
    """With --distill: what renders and gives the gradients; auto: a GPU where one can be used."""
    drop_invalid: bool = False
    """Leave out splats with non-finite or absurd values."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class Decompress:
    """Decode a .press file into another format."""

    source: Annotated[Positional[Path], arg(metavar="IN.press")]
    """The file to decode."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="OUT")]
    """The file to write; its suffix names the format: .ply, .spz, .sog, .splat or .glb."""
    levels: Annotated[int | None, _count("K")] = None
    """Decode only the K coarsest levels of detail."""
    allow_truncated: bool = False
    """Accept a file that was cut short, and decode the levels that are complete."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Convert a scene from one format to another."""

    source: Annotated[Positional[Path], arg(metavar="IN")]
    """Any supported scene file."""
    output: Annotated[Positional[Path], arg(metavar="OUT")]
    """The file to write; its suffix names the format. With --frames a folder."""
    drop_invalid: bool = False
    """Leave out splats with non-finite or absurd values."""
    time: Annotated[float | None, _decimal("T")] = None
    """Of a scene that changes with time: what it is at T, 0 to 1."""
    frames: Annotated[int | None, _count("N")] = None
    """Of a scene that changes with time: N evenly spread moments, as a folder of .ply files."""


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Say what a scene file is and holds."""

    source: Annotated[Positional[Path], arg(metavar="IN")]
    """Any supported scene file."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class Compare:
    """Measure how far scene B is from scene A, by rendering both."""

    a: Annotated[Positional[Path], arg(metavar="A")]
    """The reference."""
    b: Annotated[Positional[Path], arg(metavar="B")]
    """The scene to judge."""
    views: Annotated[int | None, _count("N")] = None
    """How many views: 8 made up from A, or all of --cameras."""
    size: Annotated[int | None, _count("W")] = None
    """Width of the renders in pixels: 400, or as --cameras says."""
    cameras: CameraFile = None
    """transforms.json, cameras.json or a COLMAP folder."""
    background: Backgrounds = "both"
    """Behind the splats; both: every number is the mean over black and over white."""
    times: Annotated[int | None, _count("N")] = None
    """Of scenes that change with time: at N moments, 8 if not given."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class Render:
    """Render a scene to an image."""

    source: Annotated[Positional[Path], arg(metavar="IN")]
    """Any supported scene file."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="OUT.png")]
    """The image to write: .png, .webp or .jpg."""
    camera: Annotated[str | None, arg(metavar="FILE[:VIEW]")] = None
    """A camera file, and which of its cameras by number or name (else the first)."""
    size: Annotated[int | None, _count("W")] = None
    """Width in pixels: 800, or as --camera says."""
    background: Background = "black"
    """Behind the splats."""
    time: Annotated[float | None, _decimal("T")] = None
    """Of a scene that changes with time: when, 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a scene from photographs with camera poses."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """transforms.json (nerfstudio, Blender), a COLMAP folder, or a folder that holds one."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="OUT")]
    """The scene to write; its suffix names the format."""
    images: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """The photographs, where they are not beside the cameras."""
    width: Annotated[int | None, _count("W")] = None
    """Pixels: the photographs are made so wide first."""
    steps: Annotated[int, _count("N")] = 3000
    """Updates, each from one photograph."""
    max_splats: Annotated[int, _count("N")] = 100_000
    """No more splats than that."""
    sh_degree: Annotated[int, _count("0..3")] = 3
    """How much colours may depend on the direction."""
    hold_out: Annotated[int, _count("K")] = 8
    """Every K-th photograph by name is not trained with, but measured; 0: none."""
    background: Background = "black"
    """Behind the scene, and behind photographs with transparency."""
    init: Literal["auto", "points", "random"] = "auto"
    """What to start with: points that came with the cameras, random ones, or auto: points if there are any."""
    seed: Annotated[int, _count("N")] = 0
    """The same seed, data and machine give the same scene."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE.npz")] = None
    """Write the state of training there every --checkpoint-every steps."""
    checkpoint_every: Annotated[int, _count("N")] = 500
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from --checkpoint."""
    backend: Backend = "auto"
    """What renders and gives the gradients; auto: a GPU where one can be used."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class Train4d:
    """Train a scene that moves from photographs with camera poses and times: a 4DGaussians model."""

    data: Annotated[Positional[Path], arg(metavar="DATA")]
    """A folder in the layout of D-NeRF, HyperNeRF or Neu3D."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="OUT")]
    """The model's folder to make."""
    width: Annotated[int | None, _count("W")] = None
    """Pixels: the photographs are made so wide first."""
    steps: Annotated[int, _count("N")] = 4000
    """Updates of splats and motion, each from one photograph."""
    coarse_steps: Annotated[int, _count("N")] = 1000
    """Updates before, of splats that keep still."""
    max_splats: Annotated[int, _count("N")] = 30_000
    """No more splats than that."""
    sh_degree: Annotated[int, _count("0..3")] = 3
    """How much colours may depend on the direction."""
    channels: Annotated[int, _count("N")] = 16
    """Of each plane of the motion field."""
    resolution: Annotated[int, _count("N")] = 64
    """Texels a side of its coarser planes; the finer ones have twice as many."""
    times: Annotated[int, _count("N")] = 25
    """Texels along the time: about half as many as there are moments."""
    moving_opacity: bool = False
    """Let opacities change with time, too."""
    background: Background = "black"
    """Behind the scene, and behind photographs with transparency."""
    seed: Annotated[int, _count("N")] = 0
    """The same seed, data and machine give the same scene."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE.npz")] = None
    """Write the state of training there every --checkpoint-every steps of the second stage."""
    checkpoint_every: Annotated[int, _count("N")] = 500
    """Steps between checkpoints."""
    resume: bool = False
    """Go on from --checkpoint."""
    backend: Backend = "auto"
    """What renders and gives the gradients; auto: a GPU where one can be used."""
    as_json: Json = False
    """Print one JSON object and nothing else."""


@dataclasses.dataclass(frozen=True)
class View:
    """Show scenes in the browser: one, or several to compare."""

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE")]
    """.press files; scenes of other formats are converted without loss."""
    port: Annotated[int | None, _count("N")] = None
    """Where to serve; the first free one from 8600 on if not given."""
    host: str = "127.0.0.1"
    """Name or address of this machine to serve at. Others than the default let other machines read the scenes."""
    cameras: CameraFile = None
    """Places to look from: transforms.json, cameras.json, a COLMAP folder or .cams.txt."""
    no_browser: bool = False
    """Only print the address."""


@dataclasses.dataclass(frozen=True)
class ExportViewer:
    """Write a folder with the viewer and scenes that any web host can serve."""

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE")]
    """.press files; scenes of other formats are converted without loss."""
    output: Annotated[Path, arg(aliases=("-o",), metavar="FOLDER")]
    """A new folder."""
    cameras: CameraFile = None
    """Places to look from: transforms.json, cameras.json, a COLMAP folder or .cams.txt."""


# Not `Compress | ...`: for that spelling tyro loads typeguard, two fifths of the start-up time.
Command = Union[  # noqa: UP007
    Compress, Prune, Decompress, Convert, Inspect, Compare, Render, Train,
    Annotated[Train4d, tyro.conf.subcommand("train-4d")], View, ExportViewer,
]  # fmt: skip


COMMANDS = (
    "compress", "prune", "decompress", "convert", "inspect", "compare", "render", "train", "train-4d", "view",
    "export-viewer",
)  # fmt: skip
"""Names of the commands, in the order of Command."""
READER_GONE = 141
"""The exit code where nobody reads stdout any more, as a shell tells of SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 (bad data), 2 (bad usage), 130 (interrupted) or 141 (pipe closed)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # Help and names of files may hold what it cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _flushed():
            return _main(arguments)
    except BrokenPipeError:  # `| head` has read enough: no fault of anybody.
        return READER_GONE
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as stop:
        if stop.code == 128 + signal.SIGINT:
            return _interrupted()
        raise


def _interrupted() -> int:
    print("scenepress: interrupted", file=sys.stderr)
    return 128 + signal.SIGINT


def _main(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from scenepress import __version__

        print(f"scenepress {__version__}")
        return 0
    try:
        command = _parse(arguments)
    except UsageError as error:
        return _fail(error, 2)
    with _warnings_as_lines(), _terminated_cleanly():
        return _run(command)


def _parse(arguments: list[str]) -> Command:
    """The command that was asked for. Asked for help, tyro prints it and raises SystemExit.

    Raises:
        UsageError: no command can be made of the arguments; the message is one line.
    """
    helps = not {"-h", "--help"}.isdisjoint(arguments)
    with usage.captured(wide=not helps) as said:
        try:
            return tyro.cli(
                Command,
                prog="scenepress",
                description="Compress Gaussian-splat scenes into one small file, and prove how good it is.",
                args=arguments,
                config=(FlagCreatePairsOff,),
            )
        except SystemExit as stop:
            if not stop.code:
                raise
    named = [name for name in arguments[:1] if name in COMMANDS]
    raise UsageError(usage.in_one_line(said.getvalue(), " ".join(["scenepress", *named])))


def _run(command: Command) -> int:
    from scenepress import commands
    from scenepress.errors import BitstreamError, FormatError, TrainingError

    try:
        commands.run(command)
    except UsageError as error:
        return _fail(error, 2)
    except BrokenPipeError:
        raise
    except (BitstreamError, FormatError, TrainingError, OSError) as error:
        return _fail(error, 1)
    except MemoryError:
        return _fail(MemoryError("not enough memory"), 1)
    return 0


def _fail(error: Exception, code: int) -> int:
    message = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        message = f"{error.filename}: {error.strerror}"
    print(f"scenepress: error: {_one_line(message)}", file=sys.stderr)
    return code


def warn(message: str) -> None:
    """One line on stderr about something the user should know."""
    print(f"scenepress: warning: {_one_line(message)}", file=sys.stderr)


def _one_line(message: str) -> str:
    return " ".join(message.split())


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    """Have stdout and stderr written out at the end, while a closed pipe can still be told from a fault.

    Whoever closed it gets nothing more: at its own end Python would flush again, and complain.

    Raises:
        BrokenPipeError: nobody reads one of the two.
    """
    try:
        yield
    finally:
        gone = None
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BrokenPipeError as error:
                gone = error
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
        if gone is not None:
            raise gone


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Warnings about the user's scene become one line each; other warnings stay as they are."""
    from scenepress.errors import LossWarning

    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, LossWarning):
            warn(str(message))
        else:
            usual(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LossWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Let a polite request to stop unwind, so that no partial output stays behind.

    SIGINT too: where a KeyboardInterrupt meets code made of a string, as in the imports of libraries, `python -m`
    ends by that signal and not by the exit code, even if it was caught. Where SIGINT is ignored it stays so.
    """
    if threading.current_thread() is not threading.main_thread():  # Only there signals can be handled.
        yield
        return

    def stop(number: int, _: object) -> None:
        sys.exit(128 + number)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    previous = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
