"""From a scene to a report on it: what `make demo [SCENE=path]` runs.

    python -m pipelines.demo garden.ply -o out/demo

Compresses the scene with every preset, decodes, renders and measures, and prints one table. The folder
then holds the .press file of the first preset, what it decodes to, a render of both, and report.html.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from scenepress import __version__, api, report
from scenepress.cameras import synthesize
from scenepress.errors import BitstreamError, FormatError, LossWarning
from scenepress.files import readable_size, write_whole
from scenepress.formats import table
from scenepress.inspection import file_size
from scenepress.report.build import Encoding, build
from scenepress.report.images import encoded
from scenepress.scene import Splats
from scenepress.scene_ops import audit, drop_invalid

PRESETS: tuple[api.Preset, ...] = ("balanced", "high", "small", "tiny", "lossless")
PEERS = {"spz": ".spz", "sog": ".sog"}
"""Formats of others that the report can compare with. Writing .sog takes long: it clusters the SH."""
ALL_PRESETS_UP_TO = 1_000_000
"""Larger scenes are compressed with the first preset only, unless told otherwise."""
DECODES = 3

Result = TypeVar("Result")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; exit code 0, or 1 for a scene that cannot be read."""
    arguments = _parse(argv)
    try:
        run(**vars(arguments))
    except (BitstreamError, FormatError, OSError) as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    return 0


def run(
    path: Path,
    folder: Path,
    presets: Sequence[api.Preset] | None,
    others: Sequence[str],
    views: int,
    width: int,
) -> None:
    """Compress, decode, render, measure and report the scene at `path` into `folder`."""
    scene = api.load(path)
    found = audit(scene)
    if found.invalid:
        print(f"{found}; left out")
        scene = drop_invalid(scene)
    if not len(scene):
        raise FormatError(f"{path}: no splats to show")
    if presets is None:
        presets = PRESETS if len(scene) <= ALL_PRESETS_UP_TO else PRESETS[:1]
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{path}: {len(scene):,} splats, SH degree {scene.sh_degree}, {readable_size(file_size(path))}"
    )

    encodings = []
    for preset in presets:
        _say(f"encoding with preset {preset}")
        encodings.append(encode(scene, preset, path))
    for name in others:
        _say(f"encoding as {name}")
        encodings.append(peer(scene, name, folder))
    subject = encodings[0]
    record = api.measure_quality(scene, subject.decoded, None)
    subject = dataclasses.replace(subject, data=api.with_quality(subject.data, record))
    encodings[0] = subject

    _say("rendering and measuring")
    page = build(
        path.name,
        scene,
        file_size(path),
        encodings,
        synthesize(scene, views, width),
        cameras_note=f"{views} views made up from the scene, {width} pixels wide, over black and white.",
        producer=f"scenepress {__version__}",
    )
    _say("")
    print(text_table(page))
    write_whole(folder / f"{path.stem}.press", subject.data)
    table.write(subject.decoded, folder / f"{path.stem}.decoded.ply")
    view = page.images[0]
    write_whole(folder / "source.png", encoded(view.reference, "PNG"))
    write_whole(folder / "decoded.png", encoded(view.test, "PNG"))
    html, _ = report.write(page, folder / "report.html")
    print(f"\nreport: {html}")


def encode(scene: Splats, preset: api.Preset, path: Path) -> Encoding:
    """One .press file with its times: encoding once, decoding the median of three."""
    data, encode_seconds = _timed(lambda: api.compress(scene, preset, source=path, measure=False))
    times = []
    for _ in range(DECODES):
        decoded, seconds = _timed(lambda: api.decompress(data))
        times.append(seconds)
    return Encoding(preset, data, decoded, encode_seconds, statistics.median(times))


def peer(scene: Splats, name: str, folder: Path) -> Encoding:
    """The scene in another format, as scenepress writes and reads it; timed once."""
    file = folder / f"peer{PEERS[name]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)  # The measurement shows what is lost.
        _, encode_seconds = _timed(functools.partial(table.write, scene, file))
        decoded, decode_seconds = _timed(functools.partial(table.read, file))
    data = file.read_bytes()
    file.unlink()
    return Encoding(f".{name}", data, decoded, encode_seconds, decode_seconds, peer=True)


def text_table(page: report.Report) -> str:
    """The report's table for a terminal."""
    head = (
        "",
        "bytes",
        "ratio",
        "B/splat",
        "PSNR dB",
        "SSIM",
        "encode s",
        "decode s",
        "decode splats/s",
    )
    rows = [head]
    for point in page.points:
        speed = report.per_second(page.splats, point.decode_seconds)
        rows.append(
            (
                point.label,
                f"{point.bytes:,}",
                f"{page.source_bytes / point.bytes:.2f}",
                f"{point.bytes / page.splats:.2f}",
                "equal" if point.quality.psnr == float("inf") else f"{point.quality.psnr:.2f}",
                f"{point.quality.ssim:.4f}",
                f"{point.encode_seconds:.3f}",
                f"{point.decode_seconds:.3f}",
                f"{speed:,.0f}" if speed else "",
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    lines = []
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(lines)


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _say(step: str) -> None:
    """What is going on, on a terminal only, overwritten by what comes next."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step}", end="", file=sys.stderr, flush=True)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.demo", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("path", metavar="SCENE", type=Path, help="any supported scene file")
    add("-o", dest="folder", metavar="FOLDER", type=Path, default=Path("out/demo"), help="to write into")
    add("--presets", nargs="+", choices=PRESETS, help="the first is the report's subject")
    add(
        "--peers",
        dest="others",
        nargs="*",
        choices=PEERS,
        default=["spz"],
        help="formats to compare with",
    )
    add("--views", type=int, default=6, help="how many views are measured (6)")
    add("--width", type=int, default=400, help="their width in pixels (400)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
