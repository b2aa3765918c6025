"""Lossless mode: bytes against zstd -19 of the raw file, and speed.

    python tests/benchmarks/bench_lossless.py [FILE ...]

Without files: scenes of ../shared/data/splats, in full precision and decoded from lossy formats (these have few
different values, which flatters any codec). The raw file is the .ply, written from the scene if it is not one.
One JSON line a scene.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import harness
import numpy as np
import zstandard

from scenepress.codecs import lossless
from scenepress.formats import table

SCENES = harness.SHARED / "data/splats"
NAMES = (
    "trained/plush_150k_sh3.ply", "trained/lego_110k_sh3.ply", "leica_8k_sh3.ply", "gsplayer_20k_sh0.ply",
    "fourth_st_131k_sh3.spz", "guitar_91k_sh0.compressed.ply", "statue_angel-kneeling_sh0.sog",
)  # fmt: skip
ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def cpu_seconds(call: Callable[[], object]) -> float:
    """Processor time of all threads: what remains comparable when the machine is busy with other things."""
    start = time.process_time()
    call()
    return time.process_time() - start


def bench(path: Path) -> None:
    """Check the result, time both directions, record one line."""
    scene = table.read(path)
    full_precision = path.name.endswith(".ply") and not path.name.endswith(".compressed.ply")
    with tempfile.TemporaryDirectory() as folder:
        ply = path if full_precision else Path(folder) / "raw.ply"
        if not full_precision:
            table.write(scene, ply)
        raw = ply.read_bytes()
    data = lossless.encode(scene)
    decoded = lossless.decode(data)
    for name in ARRAYS:
        one, other = (getattr(s, name).view(np.uint32) for s in (scene, decoded))
        if not np.array_equal(one, other):
            raise SystemExit(f"{path.name}: {name} came back changed")
    start = time.perf_counter()
    peer = len(zstandard.ZstdCompressor(level=19, threads=-1).compress(raw))
    peer_s = time.perf_counter() - start
    encode_cpu_s = cpu_seconds(lambda: lossless.encode(scene))
    decode_cpu_s = cpu_seconds(lambda: lossless.decode(data))
    encode = harness.measure(lambda: lossless.encode(scene), repeats=3, warmup=0, limit_s=20)
    decode = harness.measure(lambda: lossless.decode(data), repeats=5, warmup=1)
    harness.record("lossless", {
        "scene": path.name, "full_precision": full_precision, "splats": len(scene), "sh_degree": scene.sh_degree,
        "raw_bytes": len(raw), "bytes": len(data), "zstd_19_bytes": peer,
        "ratio_to_zstd": len(data) / peer, "bytes_per_splat": len(data) / len(scene),
        "encode": encode, "decode": decode, "zstd_19_encode_s": peer_s,
        "encode_cpu_s": encode_cpu_s, "decode_cpu_s": decode_cpu_s, "load_average": os.getloadavg()[0],
        "encode_splats_per_s": encode.per_second(len(scene)),
        "decode_splats_per_s": decode.per_second(len(scene)),
        "peak_memory_bytes": harness.peak_memory_bytes(),
    })  # fmt: skip


def main() -> None:
    """All scenes asked for."""
    paths = [Path(name) for name in sys.argv[1:]] or [SCENES / name for name in NAMES]
    for path in paths:
        if path.exists():
            bench(path)
        else:
            print(f"skipped: {path} is missing")


if __name__ == "__main__":
    main()
