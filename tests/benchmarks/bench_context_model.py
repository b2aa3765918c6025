"""What does the learned context model save, stage by stage, and what does decoding it cost?

    python tests/benchmarks/bench_context_model.py [--scenes plush,lego,...] [--presets tiny,small,balanced,high]

The same lattices coded with tables alone and with the learned model; cameras made up. Both files must decode to
the same splats. Needs the shared scenes.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import time

from scenepress import container
from scenepress.codecs import encoder, sensitivity, splats
from scenepress.codecs.presets import PRESETS
from scenepress.formats import table
from scenepress.scene import Splats
from scenepress.stages import table as stages
from tests.benchmarks import bench_targets, harness
from tests.splat_scenes import assert_same_bits

PARTS = {
    "position": (stages.POSITION, stages.ORDER, stages.POSITION_REFINEMENT), "scale": (stages.SCALE,),
    "opacity": (stages.OPACITY,), "rotation": (stages.ROTATION,), "color": (stages.COLOUR,), "sh": (stages.SH,),
    "parameters": (stages.SPLAT_PARAMETERS,),
}  # fmt: skip
TARGET_RATIO, TARGET_PER_S = 0.85, 1e6


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", default="plush,lego,gsplayer,leica")
    parser.add_argument("--presets", default="tiny,small,balanced,high")
    arguments = parser.parse_args()
    for name in arguments.scenes.split(","):
        scene = table.read(bench_targets.DATA / "splats" / bench_targets.SCENES[name])
        sens = sensitivity.measure(scene, None)
        for preset in arguments.presets.split(","):
            compare(name, scene, sens, preset)


def compare(name: str, scene: Splats, sens: sensitivity.Sensitivities, preset: str) -> None:
    """One scene and preset."""
    row: dict[str, harness.Value | harness.Timing] = {}
    bytes_: dict[str, dict[str, int]] = {}
    decoded = {}
    for kind in ("tables", "learned"):
        settings = dataclasses.replace(PRESETS[preset], learned=kind == "learned")
        prepared = encoder.prepare(scene, sens, settings, sure=False)
        begin = time.process_time()
        encoder.code(prepared, lambda *_: None)
        row[f"{kind}_code_cpu_s"] = time.process_time() - begin
        data = splats.encode(scene, settings, sensitivities=sens)
        decoded[kind] = splats.decode(data)
        begin = time.process_time()
        timing = harness.measure(lambda data=data: splats.decode(data), limit_s=6)  # type: ignore[misc]
        calls = timing.repeats + 2
        row |= {
            f"{kind}_bytes": len(data), f"{kind}_decode": timing,
            f"{kind}_decode_cpu_s": (time.process_time() - begin) / calls,
            f"{kind}_decoded_per_s": timing.per_second(len(decoded[kind])),
        }  # fmt: skip
        bytes_[kind] = sizes(data)
    assert_same_bits(decoded["tables"], decoded["learned"])
    before, after = bytes_["tables"], bytes_["learned"]
    ratios = {f"{part}_ratio": after[part] / before[part] for part in PARTS if before[part]}
    whole = float(row["learned_bytes"]) / float(row["tables_bytes"])  # type: ignore[arg-type]
    harness.record("context_model", {
        "case": "context_model", "scene": name, "preset": preset, "decoded_splats": len(decoded["tables"]),
        **row, **ratios, "ratio": whole, "target_ratio": TARGET_RATIO, "target_per_s": TARGET_PER_S,
        "load": os.getloadavg()[0],
    })  # fmt: skip


def sizes(data: bytes) -> dict[str, int]:
    """Bytes of payloads by part."""
    found: collections.Counter[int] = collections.Counter()
    for chunk in container.read(data).chunks:
        found[chunk.stage] += len(chunk.payload)
    return {part: sum(found[stage] for stage in of) for part, of in PARTS.items()}


if __name__ == "__main__":
    main()
