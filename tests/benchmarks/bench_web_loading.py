"""Loading one scene in headless Chromium, each decoder in one worker: the web decoder, spz-loader (Niantic's SPZ
library as WebAssembly), and what Spark does with .spz and .sog; then the viewer, and what keeps its thread busy.

    npm ci --prefix tests/web/loading
    .venv/bin/python tests/benchmarks/bench_web_loading.py

Needs `make web`, Node, Chromium and shared/data. Bytes are in memory before the clock starts; for the viewer they
come from a server of this machine, and the clock starts with the page.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

from scenepress import api
from scenepress.formats.sog import write_sog
from scenepress.formats.spz import write_spz

FOLDER = harness.ROOT / "tests/web/loading"
SCENES = ("splats/trained/plush_150k_sh3.ply", "splats/trained/lego_110k_sh3.ply")
PRESETS = (("high", False), ("balanced", False), ("balanced", True))
PRESS = ("press", "press, packed", "viewer", "viewer, nothing drawn")
REPEATS = 9
TARGETS = {
    "press": {"target_per_s": 1e6},
    "viewer": {"target_task_ms": 50},
    "viewer, nothing drawn": {"target_task_ms": 50},
}


def files_of(name: str, out: Path) -> list[dict[str, str | bool | int]]:
    """Writes a scene in all formats; what is to be measured, as measure.mjs takes it."""
    scene = api.load(harness.SHARED / "data" / name)
    stem, count = Path(name).stem, len(scene)
    common = {"scene": stem, "source_splats": count}
    files: list[dict[str, str | bool | int]] = []
    for preset, learned in PRESETS:
        path = out / f"{stem}_{preset}_{learned}.press"
        path.write_bytes(api.compress(scene, preset, learned=learned, measure=False))
        about = {**common, "preset": preset, "learned": learned, "path": str(path)}
        files += [{**about, "loader": loader} for loader in PRESS]
    write_spz(scene, out / f"{stem}.spz", version=3)  # What spz-loader reads.
    write_sog(scene, out / f"{stem}.sog")
    for loader, suffix in (("spz-loader", "spz"), ("Spark, .spz", "spz"), ("Spark, .sog", "sog")):
        files.append({**common, "loader": loader, "path": str(out / f"{stem}.{suffix}")})
    return files


def main() -> None:
    """Every scene in every format."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not (FOLDER / "node_modules/playwright-core").is_dir():
        sys.exit("web loading: needs Chromium and npm ci --prefix tests/web/loading")
    with tempfile.TemporaryDirectory() as folder:
        files = [file for name in SCENES for file in files_of(name, Path(folder))]
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"chromium": chromium, "repeats": REPEATS, "files": files}))
        command = ["node", str(FOLDER / "measure.mjs"), str(config)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        for line, file in zip(map(json.loads, done.stdout.splitlines()), files, strict=True):
            median = statistics.median(seconds := line.pop("seconds"))
            harness.record("web_loading", {
                **line, "bytes": Path(str(file["path"])).stat().st_size,
                "load_s": median, "slowest_s": max(seconds), "splats_per_s": line["splats"] / median,
                **TARGETS.get(line["loader"], {}),
            })  # fmt: skip


if __name__ == "__main__":
    main()
