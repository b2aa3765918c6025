"""Deformation fields as whole numbers: the spec's vectors, round trips, what contexts are worth, damage."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from scenepress.errors import BitstreamError
from scenepress.stages import hexplane
from scenepress.stages.hexplane import Numbers

SPEC = (Path(__file__).resolve().parents[1] / "docs/spec/hexplane.md").read_text()


def rows_of(section: str) -> list[list[str]]:
    """Cells of the first table of a section, without its head."""
    text = SPEC.partition(f"### {section}")[2]
    lines = re.findall(r"^\|(.*)\|$", text.partition("\n### ")[0], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines if not set(line) <= set("-| ")]


def numbers(
    seed: int = 0,
    levels: tuple[tuple[int, ...], ...] = ((5, 8, 7, 6, 4), (5, 16, 14, 12, 4)),
    mask: int = 7,
    density: float = 0.05,
    sh_count: int = 0,
    width: int = 6,
) -> Numbers:
    """Random ones, few of them not zero."""
    random = np.random.default_rng(seed)
    outputs = (3, 3, 4, 1, 3 * (1 + sh_count))
    heads = [pair for k in range(5) if mask >> k & 1 for pair in ((width, width), (width, outputs[k]))]
    trunk = [(sum(level[0] for level in levels), width), (width, width)]
    count = sum(c * sides[a] * sides[b] for c, *sides in levels for a, b in hexplane.AXES)
    sizes = random.geometric(0.5, count) * random.choice([-1, 1], count)
    planes = np.where(random.random(count) < density, sizes, 0)
    weights = np.rint(random.normal(size=sum((i + 1) * o for i, o in (*trunk, *heads))) * 5)
    return Numbers(
        bounds=random.normal(size=(2, 3)).astype(np.float32),
        levels=np.array(levels, np.int64),
        trunk=np.array(trunk, np.int64),
        heads=np.array(heads, np.int64).reshape(-1, 2),
        mask=mask,
        plane_steps=np.array([[[205, -11], [164, -14]]] * len(levels), np.int64),
        bases=random.integers(-9, 90, sum(3 * level[0] + 1 for level in levels)).astype(np.int32),
        weight_steps=random.integers(-8, 0, (len(trunk) + len(heads), 2)),
        planes=planes.astype(np.int32),
        weights=weights.astype(np.int32),
    )


def assert_same(a: Numbers, b: Numbers) -> None:
    for name, x, y in zip(Numbers._fields, a, b, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=name)


def test_buckets_of_the_spec() -> None:
    values, *rows = rows_of("5.1")
    for name, *expected in rows:
        top = int(re.findall(r"\d", name)[0])
        found = hexplane.bucket(np.array(values[1:], np.int64), top)
        assert found.tolist() == [int(cell) for cell in expected]


def test_contexts_of_the_spec() -> None:
    plane = np.zeros((2, 3, 5), np.int32)
    plane[:, :, 0] = [[1, 0, -5], [0, 2, 0]]
    plane[1, 1, 1] = -1
    plane[0, 1, 3] = 1
    plane[:, :, 4] = [[0, 3, 0], [-1, 0, 0]]
    seen = np.zeros_like(plane)
    coarse = np.full((2, 3), 2, np.int64)
    lines = [cell for _, cell in rows_of("5.2")[1:]]
    steps = [(first, odd) for first in (0, 4) for odd in (False, True)]
    for (first, odd), line in zip(steps, lines, strict=True):
        step = hexplane._Step(seen, first, odd, coarse, False)
        found = step.contexts().reshape(min(4, 5 - first), 3)
        parts = re.findall(r"(\d+) (\d+) (\d+)", re.sub(r"\d:", "", line))
        expected = [[int(x) for x in part] for part in parts]
        expected *= len(found) if "each of four" in line else 1
        assert found.tolist() == expected, line
        step.put(hexplane._Step(plane, first, odd, coarse, False).get())
    np.testing.assert_array_equal(seen, plane)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"levels": ((1, 1, 1, 1, 1),), "mask": 0},
        {"levels": ((3, 2, 1, 3, 1), (9, 5, 4, 3, 2), (4, 1, 9, 2, 7)), "mask": 31, "sh_count": 15},
        {"density": 0.0},
        {"density": 1.0, "mask": 8},
    ],
)
def test_what_is_encoded_is_decoded(options: dict[str, object]) -> None:
    given = numbers(1, **options)  # type: ignore[arg-type]
    payload = hexplane.encode(given)
    assert_same(hexplane.decode(payload, int(options.get("sh_count", 0))), given)  # type: ignore[call-overload]
    assert hexplane.encode(hexplane.decode(payload, int(options.get("sh_count", 0)))) == payload  # type: ignore[call-overload]


def test_values() -> None:
    given = numbers(2, levels=((2, 3, 4, 5, 6),), mask=1)
    planes, weights = hexplane.values(given)
    step, of_time = 205 * 2.0**-11, 164 * 2.0**-14
    xy = given.planes[: 2 * 12].reshape(12, 2).astype(np.float64)
    np.testing.assert_array_equal(planes[:24].reshape(12, 2), ((xy + given.bases[:2]) * step).astype(np.float32))
    at = 2 * (12 + 15)
    xt = given.planes[at : at + 36].astype(np.float64)
    np.testing.assert_array_equal(planes[at : at + 36], ((xt + given.bases[6]) * of_time).astype(np.float32))
    first = given.weights[:12] * 2.0 ** given.weight_steps[0, 0]
    np.testing.assert_array_equal(weights[:12], first.astype(np.float32))
    bias = given.weights[12:18] * 2.0 ** given.weight_steps[0, 1]
    np.testing.assert_array_equal(weights[12:18], bias.astype(np.float32))


def test_contexts_pay() -> None:
    """Numbers that lie together cost less than the same ones scattered."""
    given = numbers(3, levels=((8, 32, 32, 32, 16),), density=0.0)
    random = np.random.default_rng(4)
    together = np.zeros((32, 32, 8), np.int32)
    together[8:16, 8:16] = random.integers(-2, 3, (8, 8, 8))
    scattered = random.permutation(together.reshape(-1)).astype(np.int32)
    sizes = []
    for plane in (together.ravel(), scattered):
        planes = given.planes.copy()
        planes[: plane.size] = plane
        sizes.append(len(hexplane.encode(given._replace(planes=planes))))
    assert sizes[0] < 0.75 * sizes[1]


@pytest.mark.parametrize(
    "change",
    [
        {"planes": 1 << 21}, {"weights": -(1 << 21)}, {"bases": 1 << 21}, {"bounds": np.nan}, {"plane_steps": 300},
        {"weight_steps": 9}, {"mask": 32},
    ],
)  # fmt: skip
def test_what_the_format_cannot_hold(change: dict[str, float]) -> None:
    given = numbers()
    (name, value), = change.items()
    if name == "mask":
        bad = given._replace(mask=int(value))
    else:
        array = getattr(given, name).copy()
        array.flat[0] = value
        bad = given._replace(**{name: array})
    with pytest.raises(ValueError, match=r"beyond|not in|finite"):
        hexplane.encode(bad)


def test_damage_is_refused_or_decodes() -> None:
    payload = hexplane.encode(numbers(5, levels=((4, 6, 5, 4, 3), (4, 12, 10, 8, 3))))
    random = np.random.default_rng(6)
    for cut in range(0, len(payload), 7):
        with pytest.raises(BitstreamError):
            hexplane.decode(payload[:cut], 0)
    with pytest.raises(BitstreamError):
        hexplane.decode(payload + b"\0", 0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(payload)
        for at in random.integers(0, len(payload), random.integers(1, 4)):
            damaged[at] ^= 1 << random.integers(8)
        try:
            hexplane.decode(bytes(damaged), 0)
        except BitstreamError:
            refused += 1
    assert refused > 150


def test_a_hostile_count_is_refused_before_anything_is_made() -> None:
    head = bytes([1]) + b"\x01" + b"\xff\xff\x03" * 4
    rest = bytes([1, 1, 0]) + bytes(24) + b"\x80\x00" * 2 + b"\x00" * 4 + b"\x00\x00" + bytes(100)
    with pytest.raises(BitstreamError, match="numbers in"):
        hexplane.decode(head + rest, 0)
