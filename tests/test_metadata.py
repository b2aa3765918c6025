"""Metadata: spec vectors (golden), round trip (property), hostile JSON."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenepress import container, metadata
from scenepress.errors import BitstreamError
from scenepress.metadata import Metadata, Quality
from scenepress.scene import Axes
from scenepress.stages import table

SPEC = (Path(__file__).parents[1] / "docs/spec/metadata.md").read_text()
[BASE] = re.findall(r"^`(\"kind\".*)`\.$", SPEC, re.MULTILINE)
VECTORS = re.findall(r"^\| `( ?[{\[].*)` \| (valid|INVALID [\w.]+) \| ([^|]+) \|$", SPEC, re.MULTILINE)
KEYS = re.findall(r"^\| `(\w+)` \| ", SPEC, re.MULTILINE)

PLAIN = Metadata(2, 0, "RDF", False, "lossless")
words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)
scenes = st.builds(
    Metadata,
    count=st.integers(0, 2**31 - 1),
    sh_degree=st.integers(0, 3),
    axes=st.sampled_from(get_args(Axes)),
    antialiased=st.booleans(),
    codec=st.sampled_from(["lossless", "splats"]),
    preset=words,
    unit=words,
    up=st.sampled_from([None, "+x", "-y", "+z"]),
    crs=words,
    source_format=words,
    source_name=words,
    encoder=words,
    quality=st.none()
    | st.builds(
        Quality,
        psnr=st.just(math.inf) | st.floats(-1000, 1000),
        ssim=st.floats(-1, 1),
        views=st.integers(1, 1000),
        width=st.integers(1, 4000),
        cameras=st.sampled_from(["given", "synthesised"]),
    ),
)


def test_the_spec_has_vectors_and_lists_every_key() -> None:
    assert len(VECTORS) == 22  # Guards the regular expression.
    assert set(KEYS) == {f.name for kind in (Metadata, Quality) for f in dataclasses.fields(kind)}


@pytest.mark.parametrize(("payload", "result", "why"), VECTORS, ids=[why for _, _, why in VECTORS])
def test_vector(payload: str, result: str, why: str) -> None:
    data = payload.replace("BASE", BASE).encode()
    if result == "valid":
        assert metadata.decode(data).count == 2
    else:
        with pytest.raises(BitstreamError, match=re.escape(result.removeprefix("INVALID "))):
            metadata.decode(data)


@given(scene=scenes)
def test_round_trip(scene: Metadata) -> None:
    payload = metadata.encode(scene)
    assert metadata.decode(payload) == scene
    assert b"\n" not in payload
    keys = list(json.loads(payload))
    assert keys == [key for key in KEYS if key in keys]


@given(text=st.text(max_size=60), where=st.integers(0, 300), skip=st.integers(0, 30))
def test_damaged_json_raises_only_bitstream_errors(text: str, where: int, skip: int) -> None:
    quality = Quality(30.5, 0.9, 8, 400, "given")
    payload = metadata.encode(dataclasses.replace(PLAIN, quality=quality)).decode()
    damaged = payload[:where] + text + payload[where + skip :]
    try:
        scene = metadata.decode(damaged.encode(errors="surrogatepass"))
    except BitstreamError:
        return
    assert metadata.decode(metadata.encode(scene)) == scene


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff{}", "UTF-8"),
        (b"\xef\xbb\xbf{}", "UTF-8 JSON"),
        (b"[" * 60_000, "nested deeper"),
        (b'{"a":' * 10_000, "nested deeper"),
        (b" " * 65_537, "the limit is 65536"),
        (b'{"count":' + b"9" * 60_000 + b"}", "not UTF-8 JSON"),
        (b'{"count":1e400}', "'kind' is missing"),
        (b"", "not UTF-8 JSON"),
    ],
    ids=["utf8", "bom", "arrays", "objects", "long", "digits", "exponent", "empty"],
)
def test_hostile_payloads(payload: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        metadata.decode(payload)


def test_brackets_in_strings_are_not_nesting() -> None:
    scene = dataclasses.replace(PLAIN, source_name='["\\{' * 100)
    assert metadata.decode(metadata.encode(scene)) == scene


UNREADABLE = [{"unit": "a\nb"}, {"count": -1}, {"unit": "\ud800"}, {"preset": "x" * 2000}]


@pytest.mark.parametrize("field", UNREADABLE)
def test_encoder_refuses_what_it_could_not_read(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not encodable"):
        metadata.encode(dataclasses.replace(PLAIN, **field))


def test_in_a_file() -> None:
    payload = container.Chunk(table.LOSSLESS, 0, 0, 2, b"payload")
    data = container.write([metadata.chunk(PLAIN), payload])
    assert metadata.of(container.read(data)) == PLAIN
    measured = dataclasses.replace(PLAIN, quality=Quality(math.inf, 1, 8, 400, "given"))
    changed = container.read(metadata.replace(data, measured))
    assert metadata.of(changed) == measured
    assert bytes(changed.find(table.LOSSLESS).payload) == b"payload"
    with pytest.raises(BitstreamError, match="no metadata"):
        metadata.of(container.read(container.write([])))
    twice = [metadata.chunk(PLAIN), dataclasses.replace(metadata.chunk(PLAIN), tile=1)]
    with pytest.raises(BitstreamError, match="more than one"):
        metadata.of(container.read(container.write(twice)))
