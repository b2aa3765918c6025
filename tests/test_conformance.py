"""Golden streams: every decoder, now and later, gives these bits, and refuses these files."""

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Iterable
from pathlib import Path

import backends
import numpy as np
import pytest

from scenepress import container, metadata
from scenepress.errors import BitstreamError
from scenepress.kernels.crc32c import crc32c

FOLDER = Path(__file__).parent / "conformance"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text("utf-8"))


def decode(data: bytes, **options: int) -> object:
    codec = metadata.of(container.read(data)).codec
    return importlib.import_module(f"scenepress.codecs.{codec}").decode(data, **options)


def checksums(scene: object, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{crc32c(getattr(scene, name).astype('<f4').tobytes()):08X}" for name in names}


def test_manifest_and_files_are_the_same_set() -> None:
    listed = MANIFEST["valid"].keys() | MANIFEST["damaged"].keys()
    assert {path.stem for path in FOLDER.glob("*.press")} == listed


@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("name", MANIFEST["valid"])
def test_valid_stream(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backends.use(backend, monkeypatch)
    expected = MANIFEST["valid"][name]
    if backend == "reference" and expected["count"] > 5000:
        pytest.skip("so many splats take the reference too long")
    data = (FOLDER / f"{name}.press").read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["sha256"]
    scene = decode(data)
    found = {key: getattr(scene, key) for key in ("sh_degree", "axes", "antialiased")}
    assert found == {key: expected[key] for key in found}
    assert len(scene) == expected["count"]
    assert checksums(scene, expected["crc32c"]) == expected["crc32c"]
    for levels, wanted in enumerate(expected.get("levels", []), 1):
        assert checksums(decode(data, levels=levels), wanted) == wanted


def test_streams_of_several_levels_are_among_them() -> None:
    assert any(len(entry.get("levels", [])) >= 2 for entry in MANIFEST["valid"].values())
    assert sum(path.stat().st_size for path in FOLDER.glob("splats_*.press")) <= 200_000


def mutated(payload: bytes, rng: np.random.Generator) -> bytes:
    """One to four bytes changed, put in or taken out, most of them near the start."""
    changed = bytearray(payload)
    for _ in range(rng.integers(1, 5)):
        reach = len(changed) if rng.random() < 0.3 else min(len(changed), 600)
        at = int(rng.integers(max(reach, 1)))
        end = at + int(rng.integers(0, 3))
        changed[at:end] = rng.integers(0, 256, rng.integers(0, 3), np.uint8).tobytes()
    return bytes(changed)


@pytest.mark.parametrize("name", MANIFEST["valid"])
def test_mutated_payloads_raise_only_bitstream_errors(name: str) -> None:
    chunks = container.read((FOLDER / f"{name}.press").read_bytes()).chunks
    rng = np.random.default_rng(len(name))
    refused = 0
    for _ in range(60):
        which = int(rng.integers(len(chunks)))
        chunk = dataclasses.replace(chunks[which], payload=mutated(bytes(chunks[which].payload), rng))
        data = container.write([*chunks[:which], chunk, *chunks[which + 1 :]])
        try:
            decode(data)
        except BitstreamError:
            refused += 1
    assert refused >= 20


@pytest.mark.parametrize("name", MANIFEST["damaged"])
def test_damaged_stream(name: str) -> None:
    expected = MANIFEST["damaged"][name]
    data = (FOLDER / f"{name}.press").read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["sha256"]
    with pytest.raises(BitstreamError) as error:
        decode(data)
    assert expected["message"] in str(error.value)
