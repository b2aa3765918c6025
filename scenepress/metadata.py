"""The metadata chunk: what a scene is, where it came from, and how good the file is.

Normative text: docs/spec/metadata.md. Strict JSON in, strict JSON out; small, and untrusted.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Literal, TypeVar, cast, get_args

from scenepress import container
from scenepress.errors import BitstreamError
from scenepress.scene import Axes
from scenepress.stages import table
from scenepress.varint import Buffer

Codec = Literal["lossless", "splats"]
Up = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
Cameras = Literal["given", "synthesised"]
Background = Literal["black and white", "black", "white", "grey"]

MAX_BYTES = 1 << 16
MAX_STRING = 1024
MAX_DEPTH = 32
MAX_COUNT = (1 << 31) - 1

Choice = TypeVar("Choice", bound=str)


@dataclasses.dataclass(frozen=True)
class Quality:
    """What was measured of the decoded scene, with the cameras that the encoder used."""

    psnr: float
    """dB over all views together; infinite if all pixels are equal."""
    ssim: float
    """Mean of the views, -1 to 1."""
    views: int
    """How many views were rendered."""
    width: int
    """Their width in pixels."""
    cameras: Cameras
    """Where the cameras came from, of this measurement and of the encoder's sensitivity."""
    against: Literal["source renders"] = "source renders"
    """What the decoded scene was compared with."""
    background: Background = "black and white"
    """What was behind the splats; both, one after the other, and the mean of the squared errors."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """All that a file says about itself. Empty strings and None stand for "unknown"."""

    count: int
    """Splats of the whole file."""
    sh_degree: int
    """0 to 3."""
    axes: Axes
    """Where +x, +y, +z point (scene.Axes)."""
    antialiased: bool
    """Trained with the opacity-compensated filter."""
    codec: Codec
    """Which stages to expect."""
    kind: Literal["splats"] = "splats"
    """What kind of scene."""
    preset: str = ""
    """The encoder's name for its settings."""
    unit: str = ""
    """Length of 1 in scene coordinates, e.g. "m"."""
    up: Up | None = None
    """Which direction is up, if known."""
    crs: str = ""
    """Coordinate reference system, e.g. "EPSG:32632"."""
    source_format: str = ""
    """Format of the file that was compressed, e.g. "ply"."""
    source_name: str = ""
    """Its name, without folders."""
    encoder: str = ""
    """Program and version."""
    quality: Quality | None = None
    """What was measured."""


def encode(metadata: Metadata) -> bytes:
    """The payload of the metadata chunk. ValueError if a field breaks the rules of the spec."""
    fields = {name: value for name, value in _ordered(metadata).items() if value not in ("", None)}
    if metadata.quality is not None:
        quality = dataclasses.asdict(metadata.quality)
        quality["psnr"] = None if metadata.quality.psnr == math.inf else metadata.quality.psnr
        keys = ("psnr", "ssim", "views", "width", "against", "cameras", "background")
        fields["quality"] = {key: quality[key] for key in keys}
    try:
        payload = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        decode(payload)
    except (BitstreamError, UnicodeEncodeError) as error:
        raise ValueError(f"not encodable: {error}") from None
    return payload


def decode(payload: bytes | memoryview) -> Metadata:
    """Parse and check the payload of a metadata chunk.

    Raises:
        BitstreamError: it is not what docs/spec/metadata.md allows; the message names the key.
    """
    root = _Object(_parse(bytes(payload)), "")
    return Metadata(
        kind=root.choice("kind", ("splats",)),
        count=root.integer("count", 0, MAX_COUNT),
        sh_degree=root.integer("sh_degree", 0, 3),
        axes=root.choice("axes", get_args(Axes)),
        antialiased=root.boolean("antialiased"),
        codec=root.choice("codec", get_args(Codec)),
        preset=root.string("preset"),
        unit=root.string("unit"),
        up=root.choice("up", get_args(Up)) if root.has("up") else None,
        crs=root.string("crs"),
        source_format=root.string("source_format"),
        source_name=root.string("source_name"),
        encoder=root.string("encoder"),
        quality=_quality(root.object("quality")) if root.has("quality") else None,
    )


def chunk(metadata: Metadata) -> container.Chunk:
    """The chunk to put into a file."""
    return container.Chunk(table.METADATA, 0, 0, 0, encode(metadata))


def of(file: container.Container) -> Metadata:
    """The metadata of a file. BitstreamError if there is none, more than one, or it is damaged."""
    if len(file.select(table.METADATA)) > 1:
        raise BitstreamError("more than one metadata chunk")
    return decode(file.find(table.METADATA).payload)


def replace(data: Buffer, metadata: Metadata) -> bytes:
    """The same file with other metadata, e.g. once its quality has been measured.

    Optional chunks of stages that this version does not know are dropped.
    """
    file = container.read(data)
    return container.write([chunk(metadata)] + [c for c in file.chunks if c.stage != table.METADATA])


def _ordered(metadata: Metadata) -> dict[str, object]:
    """Fields in the order of the spec; `quality` is the caller's."""
    order = (
        "kind", "count", "sh_degree", "axes", "antialiased", "codec", "preset", "unit", "up", "crs",
        "source_format", "source_name", "encoder",
    )  # fmt: skip
    return {name: getattr(metadata, name) for name in order}


def _quality(record: _Object) -> Quality:
    return Quality(
        psnr=math.inf if record.is_null("psnr") else record.number("psnr", -1000, 1000),
        ssim=record.number("ssim", -1, 1),
        views=record.integer("views", 1, 1_000_000),
        width=record.integer("width", 1, 1_000_000),
        against=record.choice("against", ("source renders",)),
        cameras=record.choice("cameras", get_args(Cameras)),
        background=record.choice("background", get_args(Background)) if record.has("background") else "black",
    )


def _parse(payload: bytes) -> dict[str, object]:
    """Bytes to a JSON object without duplicate keys, NaN or deep nesting."""
    if len(payload) > MAX_BYTES:
        raise BitstreamError(f"metadata has {len(payload)} bytes; the limit is {MAX_BYTES}")
    if _depth(payload) > MAX_DEPTH:
        raise BitstreamError(f"metadata is nested deeper than {MAX_DEPTH}")
    try:
        text = payload.decode("utf-8")
        root = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except BitstreamError:
        raise
    except ValueError as error:
        raise BitstreamError(f"metadata is not UTF-8 JSON: {error}") from None
    if not isinstance(root, dict):
        raise BitstreamError("metadata is not a JSON object")
    return root


def _depth(payload: bytes) -> int:
    """Deepest nesting of brackets outside strings; the parser's own limit is the stack."""
    depth = deepest = 0
    quoted = escaped = False
    for byte in payload:
        if quoted:
            quoted, escaped = escaped or byte != 0x22, not escaped and byte == 0x5C
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise BitstreamError(f"metadata key {key[:80]!r} occurs twice")
        found[key] = value
    return found


def _no_constant(name: str) -> float:
    raise BitstreamError(f"metadata holds {name}, which JSON has not")


@dataclasses.dataclass(frozen=True)
class _Object:
    """A parsed JSON object whose values are taken out with their type checked."""

    values: dict[str, object]
    prefix: str

    def has(self, key: str) -> bool:
        return key in self.values

    def is_null(self, key: str) -> bool:
        return self.get(key) is None

    def get(self, key: str) -> object:
        if key not in self.values:
            raise BitstreamError(f"metadata key {self.prefix + key!r} is missing")
        return self.values[key]

    def wrong(self, key: str, wanted: str) -> BitstreamError:
        return BitstreamError(
            f"metadata key {self.prefix + key!r} is {repr(self.values[key])[:80]}, not {wanted}"
        )

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"an integer in {low}..{high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"a number in {low}..{high}")
        return float(value)

    def boolean(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.wrong(key, "a boolean")
        return value

    def choice(self, key: str, choices: Sequence[Choice]) -> Choice:
        value = self.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, "one of " + ", ".join(choices))
        return cast(Choice, value)

    def string(self, key: str) -> str:
        """An optional string, "" if absent."""
        if key not in self.values:
            return ""
        value = self.values[key]
        if not isinstance(value, str) or len(value) > MAX_STRING or any(map(_unprintable, value)):
            raise self.wrong(key, f"a string of at most {MAX_STRING} printable characters")
        return value

    def object(self, key: str) -> _Object:
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return _Object(value, f"{self.prefix}{key}.")


def _unprintable(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"
