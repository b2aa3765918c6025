"""The vectors of the splat codec's pages under docs/spec, on every backend."""

from __future__ import annotations

import math
from fractions import Fraction

import backends
import numpy as np
import pytest
import spec_vectors
import splat_streams
from numpy.typing import NDArray
from spec_vectors import order_level, parameter_result
from splat_floats import floats_of

from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.kernels.crc32c import crc32c
from scenepress.stages import color, context, opacity, order, parameters, refinement, scale, sh, tiles
from scenepress.stages.context import Tile
from scenepress.stages.entropy import TableSet
from scenepress.stages.tiles import TileBox

I32, U8 = np.int32, np.uint8


@pytest.fixture(params=backends.NAMES, autouse=True)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here runs on every backend."""
    backends.use(str(request.param), monkeypatch)
    return str(request.param)


def vectors(page: str, heading: str) -> pytest.MarkDecorator:
    """Parametrise by the rows of a table."""
    found = spec_vectors.rows(page, heading)
    return pytest.mark.parametrize("row", found, ids=[f"{page}-{i}" for i in range(len(found))])


def numbers(cell: str) -> list[int]:
    """`1 2*3` -> 1 2 2 2."""
    parts = [(word + "*1").split("*")[:2] for word in cell.split()]
    return [int(n) for n, times in parts for _ in range(int(times))]


def array(cell: str, dtype: type = I32) -> NDArray[np.generic]:
    return np.array(numbers(cell), dtype)


def floats(cell: str) -> list[int]:
    """Bit patterns."""
    parts = [(word + "*1").split("*")[:2] for word in cell.split()]
    return [int(n, 16) for n, times in parts for _ in range(int(times))]


def bits(values: NDArray[np.float32]) -> list[int]:
    assert values.dtype == np.float32
    found: list[int] = np.ascontiguousarray(values).view(np.uint32).ravel().tolist()
    return found


def test_every_table_has_vectors() -> None:
    for page, heading in spec_vectors.TABLES:
        assert len(spec_vectors.rows(page, heading)) >= 4, (page, heading)  # Guards the parsing.


def test_vectors_are_up_to_date(backend: str) -> None:
    if backend != "reference":
        pytest.skip("tables may be fitted otherwise")
    assert spec_vectors.main(["--check"]) == 0


# --- tiles and parameters ---


@vectors("tiles", "### 4.1 ")
def test_tile_payloads(row: list[str]) -> None:
    payload, result, _ = row
    if result.startswith("INVALID"):
        with pytest.raises(BitstreamError):
            tiles.decode(bytes.fromhex(payload), int(result.split()[1]))
        return
    wanted = [TileBox((x, y, z), b) for b, x, y, z in map(numbers, result.split(";")[: None if result else 0])]
    assert tiles.decode(bytes.fromhex(payload), len(wanted)) == wanted
    assert tiles.encode(wanted) == bytes.fromhex(payload)


@vectors("tiles", "### 4.2 ")
def test_tile_codes(row: list[str]) -> None:
    size, cells, depth = (int(cell) for cell in row[:3])
    assert tiles.depth_of(size, cells) == depth
    wide = tiles.widen(np.array([int(row[3], 16)], np.uint64), depth)
    assert wide.tolist() == [int(row[4], 16)]


@vectors("parameters", "### 4.1 ")
def test_step_codes(row: list[str]) -> None:
    assert kernels.step_of(np.array([int(row[0])])).tolist() == [int(row[1])]
    assert kernels.rotation_steps(
        array(row[0], U8), np.zeros(13, U8), np.zeros(16, U8), 0, np.zeros(1, U8), np.zeros((3, 1), I32)
    ).tolist() == [[int(row[1])]] * 3


@vectors("parameters", "### 4.2 ")
def test_parameter_payloads(row: list[str]) -> None:
    payload, result, _ = row
    if result == "INVALID":
        with pytest.raises(BitstreamError):
            parameters.decode(bytes.fromhex(payload))
        return
    p = parameters.decode(bytes.fromhex(payload))
    assert parameter_result(p) == result
    assert parameters.encode(p) == bytes.fromhex(payload)


# --- context and order ---


@vectors("context", "### 4.1 ")
def test_neighbours(row: list[str]) -> None:
    coarse, codes = (np.array(floats(cell), np.uint64) for cell in row[:2])
    assert kernels.neighbours(codes, coarse).ravel().tolist() == numbers(row[2])


@vectors("context", "### 4.2 ")
def test_predictions(row: list[str]) -> None:
    near = row[0] == "yes"
    kind, bias, step, symbol, base, wanted_context, value = (int(row[i]) for i in (1, 2, 5, 6, 7, 8, 9))
    weights, values = array(row[3]), numbers(row[4])
    inputs = (len(values) - 2) // 3 if near else len(values)
    tile = np.zeros((inputs + 1, 3), I32)  # Columns: A, B, the splat itself; the predicted channel is the last.
    if near:
        tile[inputs, :2] = values[:2]
        for j in range(inputs):
            tile[j] = [values[3 + 3 * j], values[4 + 3 * j], values[2 + 3 * j]]
    else:
        tile[:inputs, 2] = values
    pairs = np.array([[0, 1]] if near else np.zeros((0, 2)), I32).reshape(-1, 2)
    found = kernels.predict(
        tile, 2, pairs, inputs, np.arange(inputs, dtype=I32), weights, np.full(kind + 1, bias, I32),
        np.array([kind], U8), np.array([step], I32),
    )  # fmt: skip
    assert [int(found[0][0]), int(found[1][0])] == [base, wanted_context]
    again = kernels.reconstruct(found[0], found[2], np.array([symbol], I32), np.array([step], I32))
    assert again.tolist() == [value]


@vectors("order", "## 2. ")
def test_orders(row: list[str]) -> None:
    table_cell, payload, span, near, total, classes, indices = row
    lowest, highest = (int(part) for part in span.split(".."))
    table = TableSet.from_bytes(bytes.fromhex(table_cell))[0] if table_cell else None
    invalid = classes.startswith("INVALID")
    count = int(classes.split()[1]) if invalid else len(numbers(classes))
    pairs = [(a, b) for a, b in map(numbers, near.split(";"))] if near else []
    tile, level = order_level(pairs, count)
    kept = int(total) if total else None

    def decode() -> NDArray[np.int32] | None:
        return order.decode(bytes.fromhex(payload), tile, level, lowest, highest, table, kept)

    if invalid:
        with pytest.raises(BitstreamError):
            decode()
        return
    found = decode()
    assert tile.classes[level.own].tolist() == numbers(classes)
    assert (found is None) == (kept is None)
    assert found is None or found.tolist() == numbers(indices)


# --- scale, opacity, rotation ---


@vectors("scale", "## 3. ")
def test_scales(row: list[str]) -> None:
    logs = kernels.expand_scales(array(row[2])[None], int(row[0]), array(row[1]))
    assert logs.ravel().tolist() == [int(row[3])]
    assert bits(scale.dequantise(logs)) == floats(row[4])


@vectors("opacity", "## 3. ")
def test_opacities(row: list[str]) -> None:
    value, logit = row
    if value == "all":
        logits = opacity.dequantise(-np.arange(4096, dtype=I32))
        assert f"CRC {crc32c(logits.astype('<f4').tobytes()):08X}" == logit
    else:
        assert bits(opacity.dequantise(array(value))) == floats(logit)


def exact_logits() -> list[Fraction]:
    """-ln(2 ** (i / 256) - 1) for i = 1..4095, to 2**-110: with integers alone."""
    one = 1 << 140

    def root(x: int) -> int:
        return math.isqrt(x * one)

    step = 2 * one
    for _ in range(8):
        step = root(step)  # 2 ** (1 / 256)

    def log(x: int) -> int:
        """ln(x / one) for x > 0 by halving to near 1, then the series of artanh."""
        halvings = x.bit_length() - one.bit_length()
        x = x >> halvings if halvings >= 0 else x << -halvings
        z = ((x - one) * one) // (x + one)
        total, power, k = 0, z, 1
        while power:
            total += power // k
            power = (power * z // one) * z // one
            k += 2
        return 2 * total + halvings * ln2

    def artanh_of(inverse: int) -> int:
        total, power, k = 0, one // inverse, 1
        while power:
            total += power // k
            power //= inverse * inverse
            k += 2
        return total

    ln2 = 2 * artanh_of(3)
    power, found = one, []
    for _ in range(opacity.LOWEST):
        power = power * step // one
        found.append(Fraction(-log(power - one), one))
    return found


def test_logits_are_far_from_ties(backend: str) -> None:
    """Any library whose float64 functions are right to 1e-12 rounds to the same float32."""
    if backend != "reference":
        pytest.skip("one table for all")
    table = opacity.LOGITS
    assert table[0] == 9
    nearest_tie = 1.0
    for i, exact in enumerate(exact_logits(), 1):
        if i == 256:
            assert abs(exact) < Fraction(1, 10**30)
            assert table[i] == 0
            continue
        rounded = table[i]
        assert abs(exact - Fraction(float(rounded))) <= Fraction(float(np.spacing(np.abs(rounded)))) / 2
        for other in (np.nextafter(rounded, np.float32(-99)), np.nextafter(rounded, np.float32(99))):
            tie = (Fraction(float(rounded)) + Fraction(float(other))) / 2
            nearest_tie = min(nearest_tie, float(abs(exact - tie) / abs(exact)))
    assert nearest_tie > 1e-12


@vectors("rotation", "### 3.1 ")
def test_rotation_steps(row: list[str]) -> None:
    base, gain, lift = (array(cell, U8) for cell in row[:3])
    found = kernels.rotation_steps(base, gain, lift, int(row[3]), np.zeros(1, U8), array(row[4])[:, None])
    assert found[:, 0].tolist() == numbers(row[5])


@vectors("rotation", "### 3.2 ")
def test_quaternions(row: list[str]) -> None:
    tile = Tile.empty(1, 0)
    tile.values[4:7, 0] = numbers(row[0])
    p = splat_streams.random_parameters(np.random.default_rng(0), 0, False)
    scene = floats_of(p, TileBox((0, 0, 0), 1), tile, np.zeros((1, 3), np.int64))
    assert bits(scene.quats) == floats(row[1])


# --- refinement ---


@vectors("refinement", "### 4.1 ")
def test_exponents(row: list[str]) -> None:
    cell, reach = int(row[0]), int(row[3])
    found, _ = kernels.position_exponents(
        array(row[1])[:, None], array(row[2]).reshape(3, 3), reach, np.zeros(1, U8), array(row[4])[:, None],
        array(row[5])[:, None], cell,
    )  # fmt: skip
    assert found[:, 0].tolist() == numbers(row[6])


@vectors("refinement", "### 4.2 ")
def test_refinements(row: list[str]) -> None:
    cell, exponent, payload = int(row[0]), int(row[5]), bytes.fromhex(row[3])
    exps, cells = (array(row[i], np.int64) for i in (1, 2))
    if row[6].startswith("INVALID"):
        with pytest.raises(BitstreamError):
            refinement.decode(payload, cells[None].astype(np.uint32), exps[:, None], cell)
        return
    offsets = refinement.decode(payload, cells[None].astype(np.uint32), exps[:, None], cell)
    corner = numbers(row[4])
    assert [int(o) + c for o, c in zip(offsets[0], corner, strict=True)] == numbers(row[6])
    p = splat_streams.random_parameters(np.random.default_rng(0), 0, False)
    p = parameters.Parameters(**{**vars(p), "exponent": exponent})
    box = TileBox((corner[0], corner[1], corner[2]), 40)
    assert bits(floats_of(p, box, Tile.empty(1, 0), offsets).means) == floats(row[7])


# --- colour and SH ---


@vectors("color", "## 3. ")
def test_colors(row: list[str]) -> None:
    assert bits(color.dequantise(array(row[1])[:, None], array(row[0]).reshape(3, 3))) == floats(row[2])


@vectors("sh", "### 4.1 ")
def test_extent_contexts(row: list[str]) -> None:
    kind, near = int(row[0]), numbers(row[1])
    tile, level = order_level([(0, 0)] if near else [], 1)
    tile.extents[: len(near)] = near
    tile.classes[level.own] = kind
    assert sh.symbols(tile, level, np.ones(1, I32))[0].contexts.tolist() == [int(row[2])]


@vectors("sh", "### 4.2 ")
def test_sh_contexts(row: list[str]) -> None:
    kind, extent, group, step, wanted = (int(row[i]) for i in (0, 1, 2, 4, 5))
    near = numbers(row[3])
    pairs = np.array([[0, 1]] if near else np.zeros((0, 2)), I32).reshape(-1, 2)
    found = kernels.sh_contexts(
        np.array([*near, 0], I32), pairs, np.zeros(1, I32), np.array([extent], U8), group, np.array([kind], U8),
        np.array([step], I32),
    )  # fmt: skip
    assert found.tolist() == [wanted]
    assert wanted < context.SH_CONTEXTS


@vectors("sh", "### 4.3 ")
def test_sh_values(row: list[str]) -> None:
    plane = np.zeros(1, I32)
    kernels.sh_scatter(plane, 0, np.zeros(1, I32), array(row[0]), array(row[1]))
    assert plane.tolist() == [int(row[2])]


@vectors("sh", "### 4.4 ")
def test_sh_reconstruction(row: list[str]) -> None:
    basis = np.array([numbers(part) for part in row[3].split(";")], I32)
    found = np.empty((1, len(basis)), np.float32)
    rows = np.ascontiguousarray(basis.T)
    kernels.sh_inverse(array(row[2])[:, None], 0, array(row[0]), array(row[1]), rows, found)
    assert bits(found) == floats(row[4])
