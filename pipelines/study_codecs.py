"""What a rate-distortion study runs: scenepress at several rates, and the peers that are here.

Every encoding is made in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import multiprocessing
import shutil
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from scenepress import api, container
from scenepress.codecs import splats as codec
from scenepress.codecs.presets import PRESETS, Settings
from scenepress.distillation import Distillation
from scenepress.errors import LossWarning
from scenepress.formats import spz, table
from scenepress.formats.compressed_ply import write_compressed_ply
from scenepress.render import training_backend
from scenepress.scene import Camera, Splats
from scenepress.scene_ops import convert_axes, drop_invalid

from . import measuring
from .study_report import DISTILLED

DECODES = 3
ORACLE = Path(__file__).resolve().parents[1] / "tests/oracle/node_modules/.bin/splat-transform"
SOG_SPLATS = 10_000
"""splat-transform clusters the SH of more splats for over an hour without a GPU."""
TIMEOUT = 1800
"""Seconds for another program to encode."""

Coder = Literal["scenepress", "spz 3", "spz 4", "compressed.ply", "splat-transform", "given"]
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Task:
    """One encoding to make."""

    codec: str
    """As the table calls it."""
    setting: str
    """What varies within the codec, such as a preset; empty if nothing does."""
    coder: Coder
    """What makes it."""
    settings: Settings | None = None
    """Of scenepress."""
    suffix: str = ".press"
    """Of the file that is made."""
    given: Path | None = None
    """The file that others made."""
    uses_cameras: bool = False
    wanted: int | None = None
    """Bytes that scenepress is given, instead of settings."""
    distill: Distillation | None = None
    """How the scene is trained for them; None: it is not."""


@dataclasses.dataclass(frozen=True)
class Missing:
    """A peer that was left out."""

    codec: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What making an encoding took."""

    encode_seconds: float | None
    """Wall clock, once, from the scene in memory to the file. None for a given file; of splat-transform, with
    reading the .ply and starting up."""
    decode_seconds: float
    """Wall clock, median of three, from the file to arrays, by scenepress's reader."""
    encode_peak_bytes: int | None
    """Beyond what the process held with the scene loaded; of splat-transform, the whole process."""
    decode_peak_bytes: int


def own_tasks(psnr: Sequence[float], with_cameras: bool) -> tuple[list[Task], list[Task]]:
    """scenepress at every rate: the presets and Settings.psnr in between; with cameras, presets without too."""
    between = {f"psnr {x:g}": dataclasses.replace(PRESETS["balanced"], name="", psnr=x) for x in psnr}
    ordered = sorted((PRESETS | between).items(), key=lambda item: item[1].psnr)
    own = [Task("scenepress", name, "scenepress", value, uses_cameras=with_cameras) for name, value in ordered]
    presets = [item for item in ordered if item[0] in PRESETS]
    blind = [Task("scenepress, no cameras", name, "scenepress", value) for name, value in presets]
    return own, blind if with_cameras else []


def sized_tasks(raw_bytes: int, shares: Sequence[float], steps: int, with_cameras: bool) -> list[Task]:
    """Files of scenepress of shares of the raw .ply (80: an 80th), without training, then distilled.

    Args:
        raw_bytes: of the raw .ply.
        shares: above 1.
        steps: of distillation, from the scene's own renders.
        with_cameras: whether there are any to be guided by.
    """
    plan = Distillation(steps, backend=training_backend())
    how = f"{steps} steps" if plan.backend == "cpu" else f"{steps} steps on {plan.backend}"
    plain = [
        Task("scenepress", f"1/{x:g}", "scenepress", uses_cameras=with_cameras, wanted=max(1, int(raw_bytes / x)))
        for x in shares
    ]
    trained = [dataclasses.replace(t, codec=DISTILLED, setting=f"{t.setting}, {how}", distill=plan) for t in plain]
    return plain + trained


def peer_tasks(path: Path, splats: Splats) -> tuple[list[Task], list[Missing]]:
    """Peers that can be had here for the scene of this file, and those that cannot, each with the reason."""
    tasks = [
        Task("spz v3", "", "spz 3", suffix=".spz"),
        Task("spz v4", "", "spz 4", suffix=".spz"),
        Task("compressed.ply", "", "compressed.ply", suffix=".compressed.ply"),
    ]
    missing = [Missing("ksplat", "scenepress and splat-transform read .ksplat but do not write it")]
    missing.append(Missing("gsplat PngCompression", _why_no_png()))
    theirs = {"compressed.ply (splat-transform)": ".compressed.ply", "sog (splat-transform)": ".sog"}
    for name, suffix in theirs.items():
        reason = _why_no_oracle()
        if not reason and suffix == ".sog" and splats.sh_degree and len(splats) > SOG_SPLATS:
            reason = f"clustering the SH of more than {SOG_SPLATS:,} splats takes over an hour without a GPU"
        if reason:
            missing.append(Missing(name, reason))
        else:
            tasks.append(Task(name, "", "splat-transform", suffix=suffix))
    beside = path.with_name(path.name.split(".")[0] + ".sog")
    if beside.is_file() and beside != path:
        tasks.append(Task("sog (given)", "", "given", suffix=".sog", given=beside.resolve()))
    return tasks, missing


def _why_no_png() -> str:
    if not importlib.util.find_spec("gsplat"):
        return "gsplat is not installed"
    if not importlib.util.find_spec("torchpq"):
        return "its clustering of SH needs torchpq, which needs a CUDA device and is not installed"
    return "its clustering of SH needs a CUDA device: not run by this study"


def _why_no_oracle() -> str:
    if not ORACLE.exists():
        return "splat-transform is not installed (npm ci --prefix tests/oracle)"
    return "" if shutil.which("node") else "splat-transform needs node, which is not installed"


def run(task: Task, source: Path, cameras: Sequence[Camera], file: Path) -> Outcome:
    """Encode the scene at `source` into `file` and decode it, in a process of its own.

    Raises:
        What the encoder or decoder raises; subprocess.SubprocessError if another program fails.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run_here, task, source, list(cameras), file).result()


def decode(task: Task, file: Path) -> Splats:
    """The scene of a file that `run` made."""
    if task.coder == "scenepress":
        return codec.decode(file.read_bytes())
    scene = table.read(file)
    # splat-transform stores a .ply's axes as they are.
    return dataclasses.replace(scene, axes="RDF") if task.coder == "splat-transform" else scene


def _run_here(task: Task, source: Path, cameras: list[Camera], file: Path) -> Outcome:
    warnings.simplefilter("ignore", LossWarning)  # The study shows what is lost.
    scene = drop_invalid(api.load(source))
    encode_seconds, encode_peak = _encode(task, scene, cameras, file)
    held, times = measuring.reset_peak(), []
    for _ in range(DECODES):
        _, seconds = _timed(lambda: decode(task, file))
        times.append(seconds)
    return Outcome(encode_seconds, statistics.median(times), encode_peak, max(0, measuring.peak() - held))


def _encode(task: Task, scene: Splats, cameras: list[Camera], file: Path) -> tuple[float | None, int | None]:
    """Seconds, and bytes at the peak."""
    if task.given is not None:
        shutil.copyfile(task.given, file)
        return None, None
    if task.coder == "splat-transform":
        raw = file.with_name("source.ply")
        table.write(convert_axes(scene, "RDF"), raw)
        device = ["-g", "cpu"] if task.suffix == ".sog" else []
        command = ["node", str(ORACLE.resolve()), "-q", "-w", *device, str(raw), str(file)]
        _, seconds = _timed(lambda: _call(command))
        raw.unlink()
        return seconds, measuring.children_peak_bytes()
    if task.coder == "scenepress":
        _warm_up(scene, cameras)
    held = measuring.reset_peak()
    _, seconds = _timed(lambda: write(task, scene, cameras, file))
    return seconds, max(0, measuring.peak() - held)


def _call(command: Sequence[str]) -> None:
    """Run a program; OSError with the last line it said if it fails."""
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT)
    if run.returncode:
        said = (run.stderr or run.stdout).strip().splitlines() or ["nothing said"]
        raise OSError(f"{Path(command[1]).name} ended with {run.returncode}: {said[-1]}")


def write(task: Task, scene: Splats, cameras: list[Camera], file: Path) -> None:
    """Encode in this process, by scenepress.

    Raises:
        TargetError: no file is as small as wanted.
    """
    seen = cameras if task.uses_cameras else None
    if task.wanted is not None:
        data = api.compress(
            scene, target_bytes=task.wanted, cameras=seen, distill=task.distill, measure=False
        )
        file.write_bytes(data)
    elif task.settings is not None:
        file.write_bytes(codec.encode(scene, task.settings, cameras=seen))
    elif task.coder == "compressed.ply":
        write_compressed_ply(scene, file)
    else:
        spz.write_spz(scene, file, 3 if task.coder == "spz 3" else 4)


def _warm_up(scene: Splats, cameras: list[Camera]) -> None:
    """Imports and thread pools."""
    few = scene.take(np.arange(min(500, len(scene))))
    container.read(codec.encode(few, cameras=cameras[:4] or None))


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start
