"""glTF 2.0 containers: the JSON, its buffers, nodes and accessors, with every index and length checked."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError
from scenepress.formats.files import read_bytes

GLB_MAGIC, GLB_JSON, GLB_BIN = b"glTF", 0x4E4F534A, 0x004E4942
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
MAX_NODES = 100_000
_NAME = re.compile(r"[^/\\:\x00]{1,200}")

Json = dict[str, object]


class Document:
    """A parsed file; every accessor method raises FormatError on anything out of place."""

    def __init__(self, path: str, root: Json, binary: bytes | None, folder: Path) -> None:
        """`binary` is the GLB's own buffer, `folder` where others may lie."""
        self.path = path
        self._root = root
        self._binary = binary
        self._folder = folder
        self._buffers: dict[int, bytes] = {}
        self.size = len(binary or b"")
        """Bytes of all buffers read so far."""

    def _bad(self, what: str) -> FormatError:
        return FormatError(f"{self.path}: {what}")

    def mapping(self, parent: Json, key: str, optional: bool = False) -> Json:
        """A nested object; empty if it is missing and optional."""
        value = parent.get(key)
        if isinstance(value, dict):
            return value
        if value is None and optional:
            return {}
        raise self._bad(f"{key!r} must be an object")

    def mappings(self, parent: Json, key: str) -> list[Json]:
        """A list of objects; empty if it is missing."""
        value = parent.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self._bad(f"{key!r} must be a list of objects")
        return value

    def whole(self, parent: Json, key: str, default: int | None = None) -> int:
        """A non-negative integer."""
        value = parent.get(key, default)
        if type(value) is not int or value < 0:
            raise self._bad(f"{key!r} must be a whole number, not {str(value)[:40]}")
        return value

    def at(self, kind: str, index: object) -> Json:
        """Element `index` of a top-level list."""
        items = self.mappings(self._root, kind)
        if type(index) is not int or not 0 <= index < len(items):
            raise self._bad(f"{kind}[{str(index)[:40]}] does not exist")
        return items[index]

    def placed_meshes(self) -> Iterator[tuple[Json, NDArray[np.float64]]]:
        """Each mesh of the default scene with its node's matrix [4, 4] into the scene, in node order."""
        scenes = self.mappings(self._root, "scenes")
        if scenes:
            roots = self.at("scenes", self._root.get("scene", 0)).get("nodes", [])
        else:  # Without a scene all meshes count, where they are.
            for mesh in self.mappings(self._root, "meshes"):
                yield mesh, np.eye(4)
            return
        seen: set[int] = set()
        stack = [(index, np.eye(4)) for index in reversed(self._indices(roots))]
        while stack:
            index, parent = stack.pop()
            if index in seen or len(seen) > MAX_NODES:
                raise self._bad("nodes are no tree")
            seen.add(index)
            node = self.at("nodes", index)
            with np.errstate(over="ignore", invalid="ignore"):
                matrix = parent @ self._matrix(node)
            if not np.abs(matrix).max() < 1e30:
                raise self._bad("nodes scale or move without bounds")
            if "mesh" in node:
                yield self.at("meshes", node["mesh"]), matrix
            children = self._indices(node.get("children", []))
            stack += [(child, matrix) for child in reversed(children)]

    def _indices(self, value: object) -> list[int]:
        if not isinstance(value, list) or not all(type(v) is int for v in value):
            raise self._bad("node lists must hold whole numbers")
        return value

    def _numbers(self, node: Json, key: str, default: list[float]) -> NDArray[np.float64]:
        value = node.get(key, default)
        if (
            not isinstance(value, list)
            or len(value) != len(default)
            or not all(type(v) in (int, float) and abs(v) < 1e30 for v in value)
        ):
            raise self._bad(f"node {key} must be {len(default)} numbers")
        return np.array(value, np.float64)

    def _matrix(self, node: Json) -> NDArray[np.float64]:
        if "matrix" in node:
            return self._numbers(node, "matrix", np.eye(4).ravel().tolist()).reshape(4, 4).T
        out = np.eye(4)
        x, y, z, w = self._numbers(node, "rotation", [0, 0, 0, 1])
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        out[:3, :3] = rotation * self._numbers(node, "scale", [1, 1, 1])
        out[:3, 3] = self._numbers(node, "translation", [0, 0, 0])
        return out

    def view(self, index: object) -> bytes:
        """The bytes of a buffer view."""
        view = self.at("bufferViews", index)
        data = self._buffer(self.whole(view, "buffer"))
        start, length = self.whole(view, "byteOffset", 0), self.whole(view, "byteLength")
        if start + length > len(data):
            raise self._bad(f"buffer view {index} ends at byte {start + length} of {len(data)}")
        return data[start : start + length]

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            buffer = self.at("buffers", index)
            uri = buffer.get("uri")
            if uri is None:
                if index or self._binary is None:
                    raise self._bad(f"buffer {index} has no data")
                data = self._binary
            else:
                data = self._fetch(uri)
            if self.whole(buffer, "byteLength") > len(data):
                raise self._bad(f"buffer {index} holds fewer bytes than it says")
            self._buffers[index] = data
            self.size += len(data) if uri is not None else 0
        return self._buffers[index]

    def _fetch(self, uri: object) -> bytes:
        if isinstance(uri, str) and uri.startswith("data:"):
            head, _, body = uri.partition(",")
            if not head.endswith(";base64"):
                raise self._bad("a data URI is not base64")
            try:
                return base64.b64decode(body, validate=True)
            except (binascii.Error, ValueError):
                raise self._bad("a data URI is damaged") from None
        name = unquote(uri) if isinstance(uri, str) else ""
        path = self._folder / name
        try:
            inside = _NAME.fullmatch(name) and path.resolve().parent == self._folder.resolve()
        except ValueError:  # JSON may hold half a character, which no file name can.
            inside = False
        if not inside:
            raise self._bad(f"buffer {str(uri)[:80]!r} does not lie in the file's own folder")
        if not path.is_file():
            raise self._bad(f"buffer {name!r} is missing")
        return read_bytes(path, "buffer")

    def accessor(self, index: object, width: int, name: str) -> NDArray[np.float32]:
        """An attribute as float32 [count, width]; normalised integers become 0..1 or -1..1."""
        if index is None:
            raise self._bad(f"a splat primitive lacks the attribute {name}")
        accessor = self.at("accessors", index)
        code = COMPONENTS.get(self.whole(accessor, "componentType"))
        if code is None or WIDTHS.get(str(accessor.get("type"))) != width:
            raise self._bad(f"{name}: type {str(accessor.get('type'))[:20]} of this component cannot be read")
        if "sparse" in accessor or "bufferView" not in accessor:
            raise self._bad(f"{name}: sparse accessors, and those without data, cannot be read")
        data = self.view(accessor["bufferView"])
        dtype = np.dtype(code)
        size = dtype.itemsize * width
        view = self.at("bufferViews", accessor["bufferView"])
        stride = self.whole(view, "byteStride", size)
        start, count = self.whole(accessor, "byteOffset", 0), self.whole(accessor, "count")
        if stride < size or (count and start + (count - 1) * stride + size > len(data)):
            raise self._bad(f"{name}: {count} values do not fit in a view of {len(data)} bytes")
        if not count:
            return np.zeros((0, width), np.float32)
        values = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))
        floats = values.astype(np.float32)
        if dtype.kind == "f" or accessor.get("normalized") is not True:
            return floats
        return np.asarray(np.maximum(floats / np.iinfo(dtype).max, -1), np.float32)


def load_document(path: Path) -> Document:
    """Parse a .glb (by its magic) or .gltf file.

    Raises:
        FormatError: neither, of another version than 2, or damaged.
        OSError: the file cannot be read.
    """
    data = read_bytes(path, "glTF")
    if data[:4] == GLB_MAGIC:
        text, binary = _split_glb(data, str(path))
    else:
        text, binary = data, None
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no glTF: {error}") from None
    asset = root.get("asset") if isinstance(root, dict) else None
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str) or not version.startswith("2."):
        raise FormatError(f"{path}: glTF version {str(version)[:20]}; only 2.x can be read")
    return Document(str(path), root, binary, path.parent)


def _split_glb(data: bytes, path: str) -> tuple[bytes, bytes | None]:
    if len(data) < 20:
        raise FormatError(f"{path}: ends within the GLB header")
    version, total, length, kind = struct.unpack_from("<IIII", data, 4)
    if version != 2:
        raise FormatError(f"{path}: GLB version {version}; only 2 can be read")
    if total > len(data) or 20 + length > total or kind != GLB_JSON:
        raise FormatError(f"{path}: GLB of {total} bytes with JSON of {length}; the file has {len(data)}")
    text, rest = data[20 : 20 + length], data[20 + length : total]
    if len(rest) < 8:
        return text, None
    size, kind = struct.unpack_from("<II", rest)
    if kind != GLB_BIN:
        return text, None
    if size > len(rest) - 8:
        raise FormatError(f"{path}: GLB buffer of {size} bytes; the file has {len(rest) - 8}")
    return text, rest[8 : 8 + size]
