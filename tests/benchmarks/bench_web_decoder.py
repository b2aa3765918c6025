"""The web decoder in Node, one thread: splats a second, memory, size, and the bytes before the first picture.

    .venv/bin/python tests/benchmarks/bench_web_decoder.py

Needs `make web`, Node and shared/data. The native decoder decodes the same bytes in the same run.
"""

from __future__ import annotations

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

from scenepress import api

DIST = harness.ROOT / "viewers/web/decoder/dist"
SCENES = ("splats/trained/plush_150k_sh3.ply", "splats/trained/lego_110k_sh3.ply", "splats/statue_trumpet_sh0.sog")
REPEATS = 9
SPEED, MEMORY, SIZE, FIRST = 1e6, 2.5, 250_000, 0.1


def in_node(data: bytes) -> dict[str, float]:
    """What tests/web/speed.mjs finds, with the median of its seconds."""
    with tempfile.NamedTemporaryFile(suffix=".press") as file:
        file.write(data)
        file.flush()
        command = ["node", str(harness.ROOT / "tests/web/speed.mjs"), file.name, str(REPEATS)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float | list[float]] = json.loads(done.stdout)
    seconds = found.pop("seconds")
    assert isinstance(seconds, list)
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    numbers = {key: value for key, value in found.items() if not isinstance(value, list)}
    return {**numbers, "median_s": middle, "iqr_s": high - low}


def gzipped() -> int:
    """Bytes of the module and its JavaScript as a server sends them."""
    paths: list[Path] = [DIST / "press.wasm", *DIST.glob("*.js")]
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)


def main() -> None:
    """Every scene at two presets, with and without the learned context model."""
    if not (DIST / "press.wasm").is_file():
        sys.exit("web decoder: not built: make web")
    size = gzipped()
    for name in SCENES:
        scene = api.load(harness.SHARED / "data" / name)
        for preset, learned in (("high", False), ("balanced", False), ("balanced", True)):
            data = api.compress(scene, preset, learned=learned, measure=False)
            found = in_node(data)
            floats = 4 * found["splats"] * found["width"]
            harness.record("web_decoder", {
                "scene": Path(name).stem, "preset": preset, "learned": learned, "bytes": len(data),
                "splats": int(found["splats"]), "decode_s": found["median_s"], "decode_iqr_s": found["iqr_s"],
                "splats_per_s": found["splats"] / found["median_s"], "target_per_s": SPEED,
                "memory_ratio": (found["memory"] + floats) / floats, "target_memory": MEMORY,
                "first_share": found["firstBytes"] / len(data), "target_first": FIRST,
                "gzipped_bytes": size, "target_bytes": SIZE,
                "native": harness.measure(lambda data=data: api.decompress(data)),
            })  # fmt: skip


if __name__ == "__main__":
    main()
