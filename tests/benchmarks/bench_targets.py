"""Are wanted sizes and qualities met, in how many trials, and what does pruning cost against photographs?

    python tests/benchmarks/bench_targets.py [--parts targets,pruning,photographs] [--scenes plush,...]

"targets": cameras made up; the file is decoded and its quality record measured anew. "pruning": over the training
views, judged by held-out photographs (every 8th by name) and the scene's own renders there, with merging, and with
both scores without; the loss is against the whole scene. Without photographs: over made-up views, renders alone.
"photographs": the same for whole files of wanted sizes, encoded for the training views without any training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from scenepress import api, cameras, photographs, pruning, quality, significance
from scenepress.codecs import encoder, sensitivity
from scenepress.formats import table
from scenepress.learned.train import View
from scenepress.scene import Camera, Splats
from tests.benchmarks import harness

DATA = harness.SHARED / "data"
SCENES = {
    "plush": "trained/plush_150k_sh3.ply", "lego": "trained/lego_110k_sh3.ply", "leica": "leica_8k_sh3.ply",
    "gsplayer": "gsplayer_20k_sh0.ply", "guitar": "guitar_91k_sh0.compressed.ply",
}  # fmt: skip
BYTES_PER_SPLAT = (1.5, 4.0, 8.0, 14.0)
QUALITIES = (28.0, 35.0, 40.0, 47.0, 55.0)
HOLD_OUT = 8
KEPT = (0.8, 0.6, 0.4, 0.2)
SHARES = (35, 60, 80, 150)
"""Of the raw .ply, as 1 / share; the first has a target."""
PRUNED = ("plush", "lego", "gsplayer")
PHOTOGRAPHS = {"plush": (494, 0.0), "lego": (400, 1.0)}
"""Width of the renders in pixels, grey value behind."""


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="targets,pruning,photographs")
    parser.add_argument("--scenes", default=",".join(SCENES))
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    for name in arguments.scenes.split(","):
        path = SCENES[name]
        scene = table.read(DATA / "splats" / path)
        if "targets" in parts:
            measure_targets(name, scene)
        if "pruning" in parts and name in PRUNED:
            measure_pruning(name, scene)
        if "photographs" in parts and name in PHOTOGRAPHS:
            measure_photographs(name, scene, (DATA / "splats" / path).stat().st_size)


def measure_targets(name: str, scene: Splats) -> None:
    """Every size and quality."""
    common: dict[str, harness.Value] = {"scene": name, "sh_degree": scene.sh_degree, "splats": len(scene)}
    for rate in BYTES_PER_SPLAT:
        wanted = round(rate * len(scene))
        data, counts, seconds = trial(scene, target_bytes=wanted)
        reached = len(data) / wanted
        harness.record("targets", {
            "case": "size", **common, "wanted_bytes": wanted, "bytes": len(data), "ratio": reached,
            "psnr": psnr_of(scene, data), **counts, "encode_s": seconds, "met": bool(0.99 <= reached <= 1),
        })  # fmt: skip
    for wanted_psnr in QUALITIES:
        data, counts, seconds = trial(scene, target_psnr=wanted_psnr)
        psnr = psnr_of(scene, data)
        harness.record("targets", {
            "case": "quality", **common, "wanted_psnr": wanted_psnr, "psnr": psnr, "bytes": len(data),
            "off_db": abs(psnr - wanted_psnr), **counts, "encode_s": seconds,
            "met": bool(abs(psnr - wanted_psnr) <= 0.1),
        })  # fmt: skip


def psnr_of(scene: Splats, data: bytes) -> float:
    """Of the quality record, measured anew."""
    return api.measure_quality(scene, api.decompress(data), None).psnr


def trial(
    scene: Splats, target_bytes: int | None = None, target_psnr: float | None = None
) -> tuple[bytes, dict[str, harness.Value], float]:
    """The file, how often was quantised and how often coded in all, and seconds."""
    calls = {"trials": 0, "codings": 0}
    prepare, code = encoder.prepare, encoder.code

    def counted_prepare(*arguments: object, **named: object) -> encoder.Prepared:
        calls["trials"] += 1
        return prepare(*arguments, **named)  # type: ignore[arg-type]

    def counted_code(*arguments: object) -> object:
        calls["codings"] += 1
        return code(*arguments)  # type: ignore[arg-type]

    encoder.prepare, encoder.code = counted_prepare, counted_code  # type: ignore[assignment]
    try:
        start = time.perf_counter()
        data = api.compress(scene, target_bytes=target_bytes, target_psnr=target_psnr)
        return data, dict(calls), time.perf_counter() - start
    finally:
        encoder.prepare, encoder.code = prepare, code


def measure_photographs(name: str, scene: Splats, raw_bytes: int) -> None:
    """Loss of compression to several shares of the raw file."""
    training, held_out, rear = views_of(name)
    whole = against(scene, held_out, rear)
    for share in SHARES:
        wanted = raw_bytes // share
        data = api.compress(scene, target_bytes=wanted, cameras=training, measure=False)
        decoded = api.decompress(data)
        psnr = against(decoded, held_out, rear)
        renders = quality.compare(
            scene, decoded, [view.camera for view in held_out], background=rear, perceptual=False
        ).psnr
        harness.record("targets", {
            "case": "photographs", "scene": name, "raw_bytes": raw_bytes, "share": share, "bytes": len(data),
            "splats": len(scene), "kept": len(decoded), "renders_psnr": renders, "photo_psnr": whole,
            "coded_psnr": psnr, "loss_db": whole - psnr, "target_db": 0.2 if share == SHARES[0] else None,
        })  # fmt: skip


def trained_views(name: str) -> tuple[list[View], list[View], tuple[float, float, float]]:
    """Training views, held-out views, and what is behind them."""
    width, rear = PHOTOGRAPHS[name]
    views = photographs.load_views(DATA / "multiview" / name, width=width, background=(rear, rear, rear))
    training, held_out = photographs.split(views, HOLD_OUT)
    return training, held_out, (rear, rear, rear)


def views_of(name: str) -> tuple[list[Camera], list[View], tuple[float, float, float]]:
    """The same, of the training views their cameras."""
    training, held_out, rear = trained_views(name)
    return [view.camera for view in training], held_out, rear


def measure_pruning(name: str, scene: Splats) -> None:
    """Loss of pruning with merging, by removal error alone and by the global score."""
    training: list[Camera] | None = None
    held_out, rear = list[View](), (0.0, 0.0, 0.0)
    if name in PHOTOGRAPHS:
        training, held_out, rear = views_of(name)
    views = [view.camera for view in held_out] or cameras.synthesize(scene, pruning.VIEWS, pruning.WIDTH)
    seen = training or cameras.surround(scene, sensitivity.SYNTHETIC_VIEWS, sensitivity.SYNTHETIC_WIDTH)
    whole = against(scene, held_out, rear) if held_out else None
    order = np.argsort(significance.global_score(significance.measure(scene, seen), scene))
    for share in KEPT:
        by_score = scene.take(np.sort(order[len(scene) - round(share * len(scene)) :]))
        found = pruning.to_share(scene, share, training)
        for method, kept in (
            ("merging", found.scene),
            ("removal error", pruning.to_share(scene, share, training, merge=False).scene),
            ("global score", by_score),
        ):
            renders = quality.compare(scene, kept, views, background=rear, perceptual=False).psnr
            psnr = against(kept, held_out, rear) if held_out else None
            harness.record("targets", {
                "case": "pruning", "scene": name, "method": method, "splats": len(scene), "kept": len(kept),
                "merged": found.merged if method == "merging" else 0, "share": share, "renders_psnr": renders,
                "photo_psnr": whole, "pruned_psnr": psnr,
                "loss_db": None if whole is None or psnr is None else whole - psnr,
                "target_db": 0.1 if share == 0.6 and method == "merging" and held_out else None,
            })  # fmt: skip


def against(scene: Splats, views: Sequence[View], rear: tuple[float, float, float]) -> float:
    """Mean of the views' PSNR, dB."""
    fit = photographs.evaluate(scene, views, rear)
    assert fit is not None
    return fit.mean_view_psnr


if __name__ == "__main__":
    main()
