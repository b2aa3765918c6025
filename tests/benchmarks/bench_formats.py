"""Reading and writing other people's formats: seconds, bytes, splats a second.

    python tests/benchmarks/bench_formats.py [FILE.ply ...]

First 2M splats of SH3 in a .ply (472 MB, warm cache): the target is a second per 500 MB. Then every
format, on the given scenes or trained/plush_150k_sh3.ply of ../shared/data/splats. One JSON line each, with
the CPU seconds of all threads and the load average: on a busy machine they tell more than the wall clock.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import harness
import numpy as np

from scenepress.errors import LossWarning
from scenepress.formats import table
from scenepress.formats.ply import read_ply, write_ply
from scenepress.formats.spz import write_spz
from scenepress.scene import Splats

SCENE = harness.SHARED / "data/splats/trained/plush_150k_sh3.ply"
SLOW = {"sog"}
"""Written once only."""
ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def cpu_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Median CPU time of a call, all threads together."""
    samples = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        samples.append(time.process_time() - start)
    return statistics.median(samples)


def bench_large_ply(folder: Path, count: int = 2_000_000) -> None:
    """The .ply reader against its target."""
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    scene = Splats(floats(count, 3), floats(count, 4), floats(count, 3), floats(count), floats(count, 3),
                   floats(count, 15, 3))  # fmt: skip
    path = folder / "large.ply"
    write_ply(scene, path)
    got = read_ply(path)
    if not all(np.array_equal(getattr(got, name), getattr(scene, name)) for name in ARRAYS):
        raise SystemExit("the large .ply came back changed")
    size = path.stat().st_size
    read = harness.measure(lambda: read_ply(path), repeats=9)
    cpu = cpu_seconds(lambda: read_ply(path))
    harness.record("formats", {
        "format": "ply", "scene": f"{count} random splats, SH3", "splats": count, "bytes": size, "read": read,
        "read_s_per_500_MB": read.median_s * 5e8 / size, "target_s_per_500_MB": 1.0,
        "read_splats_per_s": read.per_second(count), "read_cpu_s": cpu,
        "read_cpu_s_per_500_MB": cpu * 5e8 / size, "load_average": os.getloadavg()[0],
    })  # fmt: skip
    path.unlink()


def bench_format(name: str, scene: Splats, source: str, folder: Path) -> None:
    """Write and read one format."""
    found = table.by_name(name)
    if found.write is None or found.name == "sog folder":
        return
    path = folder / f"scene{found.suffixes[0]}"
    write = functools.partial(found.write, scene, path)
    written = harness.measure(write, repeats=3, warmup=0 if name in SLOW else 1, limit_s=0)
    if len(table.read(path)) != len(scene):
        raise SystemExit(f"{name}: splats got lost")
    record_read(name, source, path, scene, written)


def record_read(name: str, source: str, path: Path, scene: Splats, written: harness.Timing) -> None:
    """Time reading `path`, and record both directions."""
    read = harness.measure(lambda: table.read(path), repeats=7)
    size = path.stat().st_size
    harness.record("formats", {
        "format": name, "scene": source, "splats": len(scene), "sh_degree": scene.sh_degree, "bytes": size,
        "bytes_per_splat": size / len(scene), "write": written, "read": read,
        "write_splats_per_s": written.per_second(len(scene)), "read_splats_per_s": read.per_second(len(scene)),
        "read_cpu_s": cpu_seconds(lambda: table.read(path)), "load_average": os.getloadavg()[0],
    })  # fmt: skip


def main() -> None:
    """Everything."""
    paths = [Path(name) for name in sys.argv[1:]] or [SCENE]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise SystemExit(f"missing: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)
        folder = Path(name)
        bench_large_ply(folder)
        for path in paths:
            scene = table.read(path)
            for found in table.FORMATS:
                bench_format(found.name, scene, path.name, folder)
            third = folder / "v3.spz"
            written = harness.measure(functools.partial(write_spz, scene, third, 3), repeats=3, warmup=0)
            record_read("spz v3", path.name, third, scene, written)


if __name__ == "__main__":
    main()
