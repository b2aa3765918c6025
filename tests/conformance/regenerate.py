"""Write the conformance streams and their manifest.

    python tests/conformance/regenerate.py [--check] [NAME ...]

Streams are golden: every later version, and every other decoder, must decode them to the same bits. So
only streams that do not exist yet are written, unless they are named (`'splats_*'` names several).
`--check` writes nothing and fails if something is missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import struct
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # What the tests share.
import splat_streams
from scenes import cloud

from scenepress import container, metadata
from scenepress.codecs import lossless, placement, splats
from scenepress.codecs.presets import Settings
from scenepress.kernels.crc32c import crc32c
from scenepress.scene import SH_COUNTS, Splats
from scenepress.stages import table

FOLDER = Path(__file__).parent
ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")


def scene(n: int, degree: int, seed: int) -> Splats:
    """Random splats whose colours are correlated as those of trained ones."""
    rng = np.random.Generator(np.random.PCG64(seed))
    columns = 14 + 3 * SH_COUNTS[degree]
    rows = (rng.integers(-(2**22), 2**22, (n, columns)) / 2**21).astype(np.float32)
    rows[:, 12:14] = rows[:, 11:12] + rows[:, 12:14] / np.float32(16)
    if degree:
        rows[:, 15::3] = rows[:, 14::3] + rows[:, 15::3] / np.float32(4)
    return of_rows(rows, degree)


def of_rows(rows: np.ndarray, degree: int) -> Splats:
    """float32 [N, 14 + 3 K] as a scene."""
    means, quats, scales, sh0 = (rows[:, a:b].copy() for a, b in ((0, 3), (3, 7), (7, 10), (11, 14)))
    shn = rows[:, 14:].copy().reshape(len(rows), SH_COUNTS[degree], 3)
    return Splats(means, quats, scales, rows[:, 10].copy(), sh0, shn)


def lattice() -> Splats:
    """As decoded from a quantised file: few values per attribute, rotations of unit norm on a grid."""
    rng = np.random.Generator(np.random.PCG64(7))
    rows = np.empty((700, 23), np.float32)
    rows[:, :3] = np.cumsum(rng.integers(-50, 51, (700, 3)), axis=0) / 4096
    rows[:, 7:] = rng.integers(0, 16, (700, 16)) / 128 - 0.5
    kept = rng.integers(-300, 301, (700, 3)) / np.float32(1024)
    rows[:, 4:7] = kept
    rows[:, 3] = np.sqrt(1 - (kept.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
    return of_rows(rows, 1)


def special() -> Splats:
    """NaN with payloads, infinities, -0, denormals."""
    words = (0x7FC01234, 0xFFFFFFFF, 0x80000000, 0x7F800000, 0xFF800000, 1, 0x80000001)
    return of_rows(np.resize(np.array(words, np.uint32), (60, 14)).view(np.float32), 0)


def lossy(source: Splats, **settings: object) -> bytes:
    """Coded as scenes are, but with levels that a few splats are enough for."""
    least, placement.LEVEL_LEAST = placement.LEVEL_LEAST, 150
    try:
        return splats.encode(source, Settings(psnr=40.0, name="test", **settings))  # type: ignore[arg-type]
    finally:
        placement.LEVEL_LEAST = least


def forged(data: bytes, edit: Callable[[bytearray], None]) -> bytes:
    """`data` after `edit`, with the checksum of header and index made right again."""
    changed = bytearray(data)
    edit(changed)
    end = container.HEADER_LENGTH + int.from_bytes(changed[12:16], "little")
    checksum = crc32c(changed[container.HEADER_LENGTH : end], crc32c(changed[: container.HEADER.size]))
    changed[container.HEADER.size : container.HEADER_LENGTH] = struct.pack("<I", checksum)
    return bytes(changed)


def newer(data: bytes) -> bytes:
    """The same file as minor version 9, with unused flags and an unknown optional chunk."""

    def edit(changed: bytearray) -> None:
        changed[9], changed[10] = 9, 0xFF

    extra = container.Chunk(0x7E, 0, 0, 1, b"from the future", required=False)
    return forged(container.write([*container.read(data).chunks, extra]), edit)


def claims(data: bytes, count: int) -> bytes:
    """The same file, its metadata claiming `count` splats."""
    about = metadata.of(container.read(data))
    return metadata.replace(data, dataclasses.replace(about, count=count))


def with_byte(data: bytes, at: int, value: int) -> bytes:
    """The same file with one byte of the header changed and the checksum right."""
    return forged(data, lambda changed: changed.__setitem__(at, value))


def with_unknown(data: bytes) -> bytes:
    """The same file with a required chunk that nobody knows."""
    return container.write([*container.read(data).chunks, container.Chunk(0x7E, 0, 0, 1, b"?")])


def misplaced(data: bytes) -> bytes:
    """The same file, its only tile numbered 3."""
    file = container.read(data)
    moved = dataclasses.replace(file.find(table.LOSSLESS), tile=3)
    return container.write([file.find(table.METADATA), moved])


def flipped(data: bytes, at: int) -> bytes:
    """One bit changed, checksums as they were."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


SMALL = lossless.encode(scene(3, 0, 1), source_name="three.ply", source_format="ply")
MIPPED = dataclasses.replace(scene(900, 0, 2), axes="RUB", antialiased=True)

VALID: dict[str, Callable[[], bytes]] = {
    "lossless_empty": lambda: lossless.encode(scene(0, 2, 0)),
    "lossless_one": lambda: lossless.encode(scene(1, 0, 1), source_name="büste.ply"),
    "lossless_sh0": lambda: lossless.encode(MIPPED),
    "lossless_sh1": lambda: lossless.encode(scene(700, 1, 3), unit="m", up="-y", crs="EPSG:32632"),
    "lossless_sh2": lambda: lossless.encode(scene(300, 2, 4)),
    "lossless_sh3": lambda: lossless.encode(scene(500, 3, 5)),
    "lossless_lattice": lambda: lossless.encode(lattice()),
    "lossless_special": lambda: lossless.encode(special()),
    "lossless_tiles": lambda: lossless.encode(of_rows(np.zeros((70_000, 14), np.float32), 0)),
    "splats_empty": lambda: lossy(cloud(0, 2)),
    "splats_one": lambda: lossy(cloud(1, 3), keep_order=True),
    "splats_sh0": lambda: lossy(dataclasses.replace(cloud(900, 0), axes="RUB", antialiased=True)),
    "splats_sh1": lambda: lossy(cloud(300, 1, 1), prune=0.0),
    "splats_sh2": lambda: lossy(cloud(300, 2, 2), prune=0.0),
    "splats_sh3": lambda: lossy(cloud(700, 3, 3)),
    "splats_kept_order": lambda: lossy(cloud(500, 1, 4), keep_order=True, tile_size=200),
    "splats_tiles": lambda: lossy(cloud(800, 1, 5), tile_size=150),
    "splats_extreme_sh0": lambda: splat_streams.stream(1, 0, 3, 60).data,
    "splats_learned": lambda: splat_streams.stream(5, 3, 2, 200, wild=False, learned=True).data,
    "splats_extreme_sh3": lambda: splat_streams.stream(2, 15, 3, 60, kept=True).data,
    "newer_minor": lambda: newer(SMALL),
}

DAMAGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "damaged_empty": (lambda: b"", "not a .press file"),
    "damaged_line_ends": (lambda: SMALL.replace(b"\r\n", b"\n"), "line ends"),
    "damaged_cut_in_header": (lambda: SMALL[:20], "cut short"),
    "damaged_cut_in_index": (lambda: SMALL[:40], "cut short inside the chunk index"),
    "damaged_cut_at_end": (lambda: SMALL[:-1], "cut short"),
    "damaged_byte_more": (lambda: SMALL + b"\0", "follow the end"),
    "damaged_bit_in_index": (lambda: flipped(SMALL, 33), "checksum differs"),
    "damaged_bit_in_payload": (lambda: flipped(SMALL, -1), "checksum differs"),
    "damaged_newer_major": (lambda: with_byte(SMALL, 8, 2), "format 2.0"),
    "damaged_reserved_flag": (lambda: with_byte(SMALL, 11, 0x80), "reserved header flags"),
    "damaged_required_stage": (lambda: with_unknown(SMALL), "unknown stage (0x7E)"),
    "damaged_billion_splats": (lambda: claims(SMALL, 10**9), "1000000000"),
    "damaged_misplaced_tile": (lambda: misplaced(SMALL), "misplaced"),
    "damaged_no_metadata": (lambda: container.write([]), "no metadata"),
}


def entry(data: bytes) -> dict[str, object]:
    """The manifest's line for a valid stream: what a decoder must make of it."""
    about = metadata.of(container.read(data))
    decode = importlib.import_module(f"scenepress.codecs.{about.codec}").decode
    decoded = decode(data)
    levels = container.read_index(data).levels if about.codec == "splats" else 1
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "codec": about.codec,
        "count": len(decoded),
        "sh_degree": decoded.sh_degree,
        "axes": decoded.axes,
        "antialiased": decoded.antialiased,
        "crc32c": checksums(decoded),
        "levels": [checksums(decode(data, levels=k)) for k in range(1, levels)],
    }


def checksums(scene: Splats) -> dict[str, str]:
    """CRC-32C of every array, as float32 little-endian."""
    return {name: f"{crc32c(getattr(scene, name).astype('<f4').tobytes()):08X}" for name in ARRAYS}


def main(arguments: list[str]) -> int:
    """Write what is missing or named; 1 if --check found something to write."""
    names = [name for name in arguments if name != "--check"]
    path = FOLDER / "manifest.json"
    manifest = json.loads(path.read_text("utf-8")) if path.exists() else {"valid": {}, "damaged": {}}
    makers = {**VALID, **{name: make for name, (make, _) in DAMAGED.items()}}
    named = {n for n in makers if any(fnmatch(n, pattern) for pattern in names)}
    wanted = [n for n in makers if n in named or not (FOLDER / f"{n}.press").exists()]
    if "--check" in arguments:
        print("\n".join(wanted) or "complete")
        return int(bool(wanted))
    for name in wanted:
        data = makers[name]()
        (FOLDER / f"{name}.press").write_bytes(data)
        if name in VALID:
            manifest["valid"][name] = entry(data)
        else:
            sha256 = hashlib.sha256(data).hexdigest()
            manifest["damaged"][name] = {"sha256": sha256, "message": DAMAGED[name][1]}
        print(f"{name}: {len(data)} bytes")
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
