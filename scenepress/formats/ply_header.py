"""Headers of .ply files: elements, properties, comments and where the data starts."""

from __future__ import annotations

import dataclasses
from typing import BinaryIO, Literal

import numpy as np

from scenepress.errors import FormatError
from scenepress.formats.files import check_count

Encoding = Literal["ascii", "binary_little_endian", "binary_big_endian"]

MAX_HEADER = 1 << 20
"""Bytes. Real headers hold a few thousand."""

SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
"""Type names of both generations of the format -> NumPy codes without byte order."""


@dataclasses.dataclass(frozen=True)
class Element:
    """One block of the file: `count` rows of the same properties."""

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]
    """(name, type), type a code of SCALARS, or "list" for a property of varying length."""

    @property
    def names(self) -> tuple[str, ...]:
        """Property names in file order."""
        return tuple(name for name, _ in self.properties)


@dataclasses.dataclass(frozen=True)
class Header:
    """A parsed header."""

    path: str
    encoding: Encoding
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    data_start: int
    """Byte offset of the first element's data."""

    @property
    def antialiased(self) -> bool:
        """What Brush's comment "SplatRenderMode: mip", Postshot's "antialiased 1" say; the last wins."""
        found = False
        for comment in self.comments:
            words = comment.replace(":", " ").split()
            if len(words) == 2 and words[0] == "SplatRenderMode":
                found = words[1] == "mip"
            elif len(words) == 2 and words[0] == "antialiased":
                found = words[1] == "1"
        return found

    def element(self, name: str) -> Element | None:
        """The element of that name, or None."""
        return next((element for element in self.elements if element.name == name), None)

    def dtype(self, element: Element) -> np.dtype[np.void]:
        """Record type of a binary element; FormatError if a property is a list."""
        order = ">" if self.encoding == "binary_big_endian" else "<"
        for name, kind in element.properties:
            if kind == "list":
                raise FormatError(f"{self.path}: list property {element.name}.{name} cannot be read")
        return np.dtype([(name, order + kind) for name, kind in element.properties])

    def offset(self, target: Element) -> int:
        """Byte offset of a binary element's data."""
        start = self.data_start
        for element in self.elements:
            if element is target:
                return start
            if element.count:
                start += element.count * self.dtype(element).itemsize
        raise ValueError(f"no element {target.name}")


def read_header(stream: BinaryIO, path: str) -> Header:
    """Parse the header at the start of `stream`; reads at most MAX_HEADER bytes.

    Raises:
        FormatError: not a .ply file, or a header that breaks the format's rules.
    """
    stream.seek(0)
    head = stream.read(MAX_HEADER)
    if not head.startswith((b"ply\n", b"ply\r\n")):
        raise FormatError(f"{path}: does not start with 'ply', so it is no .ply file")
    lines: list[str] = []
    position = head.index(b"\n") + 1
    while True:
        end = head.find(b"\n", position)
        if end < 0:
            raise FormatError(f"{path}: no end_header within the first {len(head)} bytes")
        line = head[position:end].rstrip(b"\r").decode("latin-1")
        position = end + 1
        if line.strip() == "end_header":
            break
        lines.append(line)
    return _parse(lines, position, path)


def _parse(lines: list[str], data_start: int, path: str) -> Header:
    encoding: Encoding | None = None
    elements: list[Element] = []
    comments: list[str] = []
    for line in lines:
        keyword, _, rest = line.strip().partition(" ")
        words = rest.split()
        if keyword in ("comment", "obj_info"):
            comments.append(rest)
        elif keyword == "format":
            encoding = _encoding(words, path)
        elif keyword == "element" and len(words) == 2:
            elements.append(Element(words[0], _count(words[1], path), ()))
        elif keyword == "property" and elements and len(words) >= 2:
            elements[-1] = _with_property(elements[-1], words, path)
        elif keyword:
            raise FormatError(f"{path}: bad header line {line[:80]!r}")
    if encoding is None:
        raise FormatError(f"{path}: header has no format line")
    names = [element.name for element in elements]
    if len(set(names)) < len(names):
        raise FormatError(f"{path}: an element occurs twice in the header")
    return Header(path, encoding, tuple(elements), tuple(comments), data_start)


def _encoding(words: list[str], path: str) -> Encoding:
    if len(words) != 2 or words[1] != "1.0":
        raise FormatError(f"{path}: format {' '.join(words)[:40]!r}; only version 1.0 can be read")
    if words[0] == "ascii":
        return "ascii"
    if words[0] == "binary_little_endian":
        return "binary_little_endian"
    if words[0] == "binary_big_endian":
        return "binary_big_endian"
    raise FormatError(f"{path}: unknown encoding {words[0][:40]!r}")


def _count(word: str, path: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 18):
        raise FormatError(f"{path}: bad element count {word[:40]!r}")
    return check_count(int(word), path)


def _with_property(element: Element, words: list[str], path: str) -> Element:
    if words[0] == "list" and len(words) == 4:
        kind = "list"
    elif len(words) == 2 and words[0] in SCALARS:
        kind = SCALARS[words[0]]
    else:
        raise FormatError(f"{path}: bad property {' '.join(words)[:80]!r} of element {element.name!r}")
    if words[-1] in element.names:
        raise FormatError(f"{path}: property {words[-1]!r} of element {element.name!r} occurs twice")
    return dataclasses.replace(element, properties=(*element.properties, (words[-1], kind)))
