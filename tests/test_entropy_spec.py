"""The vectors of docs/spec/entropy.md, on every backend."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from scenepress import kernels
from scenepress.errors import BitstreamError
from scenepress.stages import entropy
from scenepress.stages.entropy import PlaneDecoder, TableSet

SPEC = (Path(__file__).parents[1] / "docs/spec/entropy.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    text = SPEC[SPEC.index(f"### {section} ") :].split("\n#", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


TOKENS, TABLE_SETS, PAYLOADS = rows("8.1"), rows("8.2"), rows("8.3")


@pytest.fixture(params=list(kernels.BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def numbers(cell: str) -> list[int]:
    return [int(number) for number in cell.split()]


def table_set(cell: str, backend: str) -> TableSet:
    data = bytes.fromhex(cell)
    found, end = TableSet.from_bytes(data, 0, backend)
    assert end == len(data)
    return found


def test_the_spec_has_vectors() -> None:
    assert (len(TOKENS), len(TABLE_SETS), len(PAYLOADS)) == (22, 39, 21)  # Guards the parsing above.


@pytest.mark.parametrize("row", TOKENS, ids=lambda row: " ".join(row[:2]))
def test_tokens(row: list[str], backend: str) -> None:
    signed = row[0] == "signed"
    value, token, length, raw = (int(cell) for cell in row[1:])
    got = entropy.tokenize(np.array([value], np.int32), signed, backend)
    assert [int(part[0]) for part in got] == [token, raw, length]
    assert entropy.detokenize(got[0], got[1], signed, backend).tolist() == [value]


@pytest.mark.parametrize("row", TABLE_SETS, ids=lambda row: row[3])
def test_table_sets(row: list[str], backend: str) -> None:
    data, context_map, frequencies, _ = row
    if frequencies == "INVALID":
        with pytest.raises(BitstreamError):
            TableSet.from_bytes(bytes.fromhex(data), 0, backend)
        return
    got = table_set(data, backend)
    assert got.context_map.tolist() == numbers(context_map)
    assert (got.frequencies.sum(axis=1) == 4096).all()
    if frequencies.startswith("CRC "):
        assert f"CRC {zlib.crc32(got.frequencies.astype('<u2').tobytes()):08X}" == frequencies
    else:
        listed = [numbers(part) for part in frequencies.split(";")]
        assert got.frequencies.tolist() == [part + [0] * (256 - len(part)) for part in listed]


@pytest.mark.parametrize("row", PAYLOADS, ids=lambda row: row[5])
def test_payloads(row: list[str], backend: str) -> None:
    payload, tables, plane, contexts, values, _ = row

    def decode() -> list[int]:
        decoder = PlaneDecoder(bytes.fromhex(payload), backend)
        known = np.array(numbers(contexts), np.uint8)
        got = decoder.values(table_set(tables, backend), known, plane == "signed")
        decoder.finish()
        return list(got.tolist())

    if values == "INVALID":
        with pytest.raises(BitstreamError):
            decode()
    else:
        assert decode() == numbers(values)


def test_fuzzing_starts_from_the_vectors() -> None:
    """tests/conformance/rans holds the valid payloads as inputs of cuda/fuzz/fuzz_rans.cpp."""
    folder = Path(__file__).parent / "conformance/rans"
    expected = {}
    for payload, tables, plane, contexts, values, why in PAYLOADS:
        if values != "INVALID" and len(bytes.fromhex(tables)) and bytes.fromhex(tables)[0] == 1:
            head = bytes([2 * (plane == "signed"), len(contexts.split()), 0, 1])
            name = re.sub(r"\W+", "_", why) + ".bin"
            expected[name] = head + bytes.fromhex(tables) + bytes.fromhex(payload)
    assert len(expected) == 5
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
