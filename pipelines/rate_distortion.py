"""The rate-distortion study: scenepress at several rates beside its peers, on a folder of scenes.

    python -m pipelines.rate_distortion scenes/ -o docs/results/rate_distortion \
        --cameras plush_150k_sh3=photographs/plush lego_110k_sh3=photographs/lego

Writes README.md (a table a scene, and the targets), SVG plots, and rows.jsonl. A run that was stopped goes on
where it was: rows of the same scene, codec, setting, views and commit are kept. `--distill 1500` adds files of
shares of the raw .ply, without training and distilled. See docs/rate_distortion.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scenepress.errors import BitstreamError, FormatError, TargetError, TrainingError
from scenepress.formats import table
from scenepress.quality import finite

from . import measuring, study_codecs, study_report
from .study_codecs import Task
from .study_report import LeftOut, Row
from .study_scenes import Judge, Source, Study, Viewing, prepare

PSNR = (32.5, 37.5, 42.5, 47.5, 50.0)
"""Settings.psnr between the presets and above."""
SHARES = (80.0, 150.0)
"""Parts that the raw .ply is divided into: files to distil have the size of one."""


@dataclasses.dataclass(frozen=True)
class Sized:
    """Files of given sizes, without training and distilled."""

    steps: int
    """Of distillation."""
    shares: Sequence[float] = SHARES
    """80: of an 80th of the raw .ply."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study; exit code 0, or 1 for what cannot be read, or an encoder that failed."""
    arguments = _parse(argv)
    try:
        sources = find(arguments.paths, arguments.scenes, dict(arguments.cameras))
        viewing = Viewing(arguments.width, arguments.hold_out)
        sized = Sized(arguments.distill, arguments.distill_shares) if arguments.distill else None
        return run(sources, arguments.folder, viewing, arguments.psnr, sized)
    except (BitstreamError, FormatError, OSError) as error:
        print(f"rate_distortion: error: {error}", file=sys.stderr)
        return 1


def find(paths: Sequence[Path], names: Sequence[str], cameras: dict[str, Path]) -> list[Source]:
    """The scenes asked for; of a folder, all files of a known format, one for each name (.ply before others).

    Raises:
        FormatError: no scene, or a name that none has.
    """
    found: dict[str, Source] = {}
    for path in paths:
        inside = sorted(path.iterdir(), key=lambda p: (p.suffix != ".ply", p.name)) if path.is_dir() else [path]
        for file in inside:
            if not path.is_dir() or (file.is_file() and table.by_suffix(file)):
                source = Source(file)
                found.setdefault(source.name, Source(file, cameras.get(source.name)))
    chosen = [found[name] for name in names if name in found] if names else list(found.values())
    if unknown := (set(names) | set(cameras)) - set(found):
        known = ", ".join(found) or "none"
        raise FormatError(f"no scene called {', '.join(sorted(unknown))}; there are {known}")
    if not chosen:
        raise FormatError(f"no scenes in {', '.join(map(str, paths))}")
    return chosen


def run(
    sources: Sequence[Source], folder: Path, viewing: Viewing, psnr: Sequence[float], sized: Sized | None = None
) -> int:
    """Every scene; rows, table and plots are written anew after each row. 1 if scenepress itself failed."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, left_out = study_report.load(folder / "rows.jsonl")
    failed = False
    for number, source in enumerate(sources):
        print(f"scene {number + 1} of {len(sources)}: {source.path}", flush=True)
        study = prepare(source, viewing)
        peers, missing = study_codecs.peer_tasks(source.path, study.splats)
        left_out = [item for item in left_out if item.scene != source.name]
        left_out += [LeftOut(source.name, item.codec, item.reason) for item in missing]
        given, blind = study_codecs.own_tasks(psnr, bool(study.training))
        if sized is not None:
            given += study_codecs.sized_tasks(study.raw_bytes, sized.shares, sized.steps, bool(study.training))
        tasks = given + peers + blind
        failures = run_scene(study, tasks, folder, rows, left_out)
        failed |= any(item.codec.startswith("scenepress") for item in failures)
        for item in left_out:
            if item.scene == source.name:
                print(f"  left out: {item.codec}: {item.reason}")
    print(f"table: {folder / 'README.md'}")
    return int(failed)


def run_scene(
    study: Study, tasks: Sequence[Task], folder: Path, rows: list[Row], left_out: list[LeftOut]
) -> list[LeftOut]:
    """Make the rows that are not there yet; appends to `rows` and `left_out`, and returns what failed."""
    judge, commit, setup = Judge(study), measuring.commit(), study.setup()
    done, failures, name = {row.key for row in rows}, [], study.source.name
    for number, task in enumerate(tasks):
        what = f"  [{number + 1}/{len(tasks)}] {task.codec} {task.setting}".rstrip()
        if (name, task.codec, task.setting, setup, commit) in done:
            print(f"{what}: kept", flush=True)
            continue
        try:
            row = _row(judge, task, setup, commit)
        except TargetError as error:  # The scene's fault.
            left_out.append(LeftOut(name, task.codec, f"{task.setting}: {error}"))
        except (ValueError, TrainingError, OSError, subprocess.SubprocessError) as error:
            reason = str(error) or type(error).__name__
            failures.append(LeftOut(name, task.codec, f"failed: {reason.splitlines()[0][:200]}"))
            left_out.append(failures[-1])
        else:
            rows.append(row)
            print(f"{what}: {row.bytes:,} bytes, {_said(row)}", flush=True)
        study_report.save(folder / "rows.jsonl", rows, left_out)
        study_report.write(folder, rows, left_out)
    study_report.save(folder / "rows.jsonl", rows, left_out)
    study_report.write(folder, rows, left_out)
    return failures


def _said(row: Row) -> str:
    quality = "equal" if row.equal else f"{row.psnr:.2f} dB"
    return quality if row.loss is None else f"{quality}, {row.loss:.3f} dB lost on photographs"


def _row(judge: Judge, task: Task, setup: str, commit: str) -> Row:
    study, machine = judge.study, measuring.machine()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"scene{task.suffix}"
        outcome = study_codecs.run(task, study.source.path, study.training, file)
        size, copy = file.stat().st_size, study_codecs.decode(task, file)
    seen = judge.copy(copy)
    return Row(
        scene=study.source.name, codec=task.codec, setting=task.setting, setup=setup, commit=commit,
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        peer=task.coder != "scenepress", splats=len(study.splats), sh_degree=study.splats.sh_degree,
        full_precision=study.kind == "ply", raw_bytes=study.raw_bytes, bytes=size, decoded_splats=len(copy),
        equal=math.isinf(seen.psnr), psnr=finite(seen.psnr), ssim=seen.ssim, flip=seen.flip,
        photo_psnr=seen.photo_psnr, source_photo_psnr=judge.source().photo_psnr,
        encode_seconds=outcome.encode_seconds, decode_seconds=outcome.decode_seconds,
        encode_peak_bytes=outcome.encode_peak_bytes, decode_peak_bytes=outcome.decode_peak_bytes,
        load_average=os.getloadavg()[0], machine=f"{machine.cpu}, {machine.cores} cores",
    )  # fmt: skip


def _pair(text: str) -> tuple[str, Path]:
    name, mark, path = text.partition("=")
    if not (name and mark and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not SCENE=PATH")
    return name, Path(path)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m pipelines.rate_distortion", description=summary)
    add = parser.add_argument
    add("paths", metavar="FOLDER_OR_FILE", type=Path, nargs="+", help="scenes; of a folder, all in it")
    add("-o", dest="folder", metavar="FOLDER", type=Path, required=True, help="to write into")
    add("--cameras", metavar="SCENE=PATH", type=_pair, nargs="+", default=[],
        help="cameras of the photographs that a scene was trained from; the photographs lie beside")  # fmt: skip
    add("--scenes", metavar="SCENE", nargs="+", default=[], help="only these, in this order")
    add("--psnr", type=float, nargs="*", default=PSNR, help="Settings.psnr to run beside the presets")
    add("--distill", metavar="N", type=_positive, help="also files of given sizes, untrained and trained N steps")
    add("--distill-shares", metavar="SHARE,...", type=_shares,
        help="with --distill: parts that the raw .ply is divided into for these sizes (80,150)")  # fmt: skip
    add("--width", type=_positive, default=Viewing.width, help="pixels; wider photographs are shrunk (494)")
    add("--hold-out", type=_positive, default=Viewing.hold_out, help="every so many-th photograph judges (8)")
    arguments = parser.parse_args(argv)
    if arguments.distill_shares is None:
        arguments.distill_shares = SHARES
    elif arguments.distill is None:
        parser.error("--distill-shares is for distillation: give --distill N as well")
    return arguments


def _shares(text: str) -> list[float]:
    try:
        shares = [float(word) for word in text.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(1 < share < math.inf for share in shares):
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers above 1 with commas between")
    return shares


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
