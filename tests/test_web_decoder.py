"""The web decoder gives the bits of the Python decoder, and refuses what that refuses: it is run by Node."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from scenepress import api, container
from scenepress.errors import BitstreamError
from scenepress.stages import table
from tests.scenes import cloud

ROOT = Path(__file__).resolve().parents[1]
DECODER = ROOT / "viewers/web/decoder/dist"
CONFORMANCE = ROOT / "tests/conformance"
ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
STREAMS = sorted(path for path in CONFORMANCE.glob("*.press") if not path.name.startswith("damaged_"))
MUTATED = (
    "splats_learned", "splats_kept_order", "splats_sh3", "splats_tiles", "lossless_sh1", "lossless_special",
)  # fmt: skip
DAMAGED = sorted(path for path in CONFORMANCE.glob("damaged_*.press"))

pytestmark = [
    pytest.mark.skipif(not (DECODER / "press.wasm").is_file(), reason="the web decoder is not built: make web"),
    pytest.mark.skipif(shutil.which("node") is None, reason="no Node"),
]


def decoded(paths: Sequence[Path]) -> list[dict[str, object]]:
    """What the web decoder makes of the files."""
    command = ["node", str(ROOT / "tests/web/decode.mjs")]
    done = subprocess.run(command, input="\n".join(map(str, paths)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(data: bytes) -> dict[str, object] | None:
    """The same of the Python decoder; None for files that it refuses."""
    try:
        scene = api.decompress(data)
    except BitstreamError:
        return None
    hashes = [hashlib.sha256(getattr(scene, name).tobytes()).hexdigest() for name in ARRAYS]
    return {"count": len(scene), "hashes": hashes}


def test_conformance_streams_decode_to_the_same_bits() -> None:
    for path, found in zip(STREAMS, decoded(STREAMS), strict=True):
        assert found == expected(path.read_bytes()), path.name


def test_damaged_files_are_refused_by_name() -> None:
    for path, found in zip(DAMAGED, decoded(DAMAGED), strict=True):
        assert found.get("name") == "PressError", path.name
        assert len(str(found["error"])) > 10


@pytest.mark.parametrize("preset", ["tiny", "high"])
@pytest.mark.parametrize("learned", [False, True])
def test_scenes_decode_to_the_same_bits(tmp_path: Path, preset: str, learned: bool) -> None:
    paths = []
    for degree in range(4):
        paths.append(tmp_path / f"{degree}.press")
        paths[-1].write_bytes(api.compress(cloud(1500, degree), preset, learned=learned, measure=False))
    for path, found in zip(paths, decoded(paths), strict=True):
        assert found == expected(path.read_bytes())


def test_lossless_scenes_keep_every_bit(tmp_path: Path) -> None:
    paths = []
    for degree in range(4):
        scene = cloud(3000, degree)
        means = scene.means.copy()
        means.view(np.uint32)[:4, 0] = [0x7FC01234, 0xFF800000, 0x80000000, 1]  # A NaN's bits are kept too.
        paths.append(tmp_path / f"{degree}.press")
        paths[-1].write_bytes(api.compress(dataclasses.replace(scene, means=means), "lossless", measure=False))
    for path, found in zip(paths, decoded(paths), strict=True):
        assert found == expected(path.read_bytes())


@pytest.mark.parametrize("name", MUTATED)
def test_mutated_payloads_decode_alike_or_are_refused(tmp_path: Path, name: str) -> None:
    """With true checksums, so that what lies behind them is tested."""
    file = container.read((CONFORMANCE / f"{name}.press").read_bytes())
    random = np.random.default_rng(7)
    paths = []
    for number in range(80):
        chunks = list(file.chunks)
        possible = [i for i, c in enumerate(chunks) if c.stage != table.METADATA and len(c.payload)]
        which = int(random.choice(possible))
        payload = bytearray(chunks[which].payload)
        if number % 4 == 0:
            del payload[int(random.integers(len(payload))) :]
        else:
            for _ in range(number % 4):
                payload[int(random.integers(len(payload)))] ^= 1 << int(random.integers(8))
        chunks[which] = dataclasses.replace(chunks[which], payload=bytes(payload))
        paths.append(tmp_path / f"{number}.press")
        paths[-1].write_bytes(container.write(chunks))
    refused = 0
    for path, found in zip(paths, decoded(paths), strict=True):
        want = expected(path.read_bytes())
        if want is None:
            assert found.get("name") == "PressError", (path.name, found)
            assert "unreachable" not in str(found["error"]), "a trap without a word"
            refused += 1
        else:
            assert found == want, path.name
    assert refused > 25


def test_cut_and_flipped_files_are_refused(tmp_path: Path) -> None:
    data = (CONFORMANCE / "splats_sh1.press").read_bytes()
    random = np.random.default_rng(3)
    paths = []
    for number in range(60):
        changed = bytearray(data)
        if number % 2:
            changed[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        else:
            del changed[int(random.integers(len(data))) :]
        paths.append(tmp_path / f"{number}.press")
        paths[-1].write_bytes(changed)
    for path, found in zip(paths, decoded(paths), strict=True):
        if expected(path.read_bytes()) is None:
            assert "error" in found, path.name


def test_pool(tmp_path: Path) -> None:
    """Workers decode to the same bits; what is stopped, closed or broken ends, and leaves nothing behind."""
    data = api.compress(cloud(3000, 3), "high", measure=False)
    path = tmp_path / "a.press"
    path.write_bytes(data)
    command = ["node", str(ROOT / "tests/web/pool.mjs"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("whole") == expected(data)
    assert found.pop("stopped") == {"after": 0, "left": 0}
    assert found == {
        "two": True, "closed": 0, "aborted": "Error: enough", "levels": "Error: levels: NaN",
        "disposed": "PressError: the pool was disposed of", "angry": "Error: null",
        "broken": "Error: a decoding worker failed: made to fail",
        "again": "Error: a decoding worker failed: made to fail",
        "none": "Error: a pool has at least one worker, not 0",
    }  # fmt: skip
