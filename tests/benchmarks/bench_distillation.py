"""What does distillation gain, in bytes and against held-out photographs, and how long does it take?

    python tests/benchmarks/bench_distillation.py [--scenes plush,lego] [--shares 35,80,150] [--steps 2000]
        [--teachers renders,photographs]

Files of shares of the raw .ply, once without training and once distilled: from the scene's own renders near the
training cameras, or from their photographs. Judged by photographs that nobody trained with (every 8th by name);
the loss is against the whole scene. Needs the shared scenes and photographs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from scenepress import api, quality
from scenepress.distillation import Distillation
from scenepress.formats import table
from scenepress.learned.train import View
from scenepress.scene import Splats
from tests.benchmarks import bench_targets, harness

TARGETS = {35: 0.2, 80: 0.2, 150: 1.0}
"""dB that a file of a 35th of the bytes may lose without training, and the others with it."""


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="plush,lego")
    parser.add_argument("--shares", default="35,80,150")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--teachers", default="renders")
    arguments = parser.parse_args()
    for name in arguments.scenes.split(","):
        path = bench_targets.DATA / "splats" / bench_targets.SCENES[name]
        scene, raw = table.read(path), path.stat().st_size
        for share in map(int, arguments.shares.split(",")):
            for teacher in arguments.teachers.split(","):
                measure(name, scene, raw, share, teacher, arguments.steps)


def measure(name: str, scene: Splats, raw: int, share: int, teacher: str, steps: int) -> None:
    """One file without training and one with."""
    training, held_out, rear = bench_targets.trained_views(name)
    cameras = [view.camera for view in training]
    whole = bench_targets.against(scene, held_out, rear)
    plan = Distillation(steps, photographs=training if teacher == "photographs" else None, background=rear)
    rows: dict[str, harness.Value] = {}
    for kind, chosen in (("plain", None), ("distilled", plan)):
        start = time.perf_counter()
        data = api.compress(scene, target_bytes=raw // share, cameras=cameras, distill=chosen, measure=False)
        seconds = time.perf_counter() - start
        decoded = api.decompress(data)
        photo = bench_targets.against(decoded, held_out, rear)
        rows |= {
            f"{kind}_bytes": len(data), f"{kind}_splats": len(decoded), f"{kind}_photo_psnr": photo,
            f"{kind}_loss_db": whole - photo, f"{kind}_renders_psnr": renders(scene, decoded, held_out, rear),
            f"{kind}_s": seconds,
        }  # fmt: skip
    harness.record("distillation", {
        "case": "distillation", "scene": name, "splats": len(scene), "raw_bytes": raw, "share": share,
        "teacher": teacher, "steps": steps, "photo_psnr": whole, **rows, "target_db": TARGETS.get(share),
    })  # fmt: skip


def renders(scene: Splats, decoded: Splats, views: Sequence[View], rear: tuple[float, float, float]) -> float:
    """PSNR against renders of the source, in dB."""
    cameras = [view.camera for view in views]
    return quality.compare(scene, decoded, cameras, background=rear, perceptual=False).psnr


if __name__ == "__main__":
    main()
