"""Files of a SOG scene, in a zip or a folder, and the images in them. All is untrusted, all is capped."""

from __future__ import annotations

import io
import json
import math
import re
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError

MAX_META = 1 << 24
"""Bytes of meta.json; real ones hold 20 kB."""
MAX_SPLATS_PER_BYTE = 16
"""More splats than this for a byte of the files is a bomb: real scenes need 8 to 20 bytes a splat."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}")

Json = dict[str, object]
Bytes = NDArray[np.uint8]


class Files(Protocol):
    """The files of one scene."""

    path: str
    total: int
    """Bytes of all files together, compressed."""

    def read(self, name: str, limit: int) -> bytes:
        """One file; FormatError if it is missing or larger than `limit` bytes."""


class ZipFiles:
    """A .sog bundle. Nothing is unpacked to disk, so that no name can lead anywhere."""

    def __init__(self, path: str | Path) -> None:
        """Read the directory of the zip; FormatError if it has none."""
        self.path = str(path)
        self.total = Path(path).stat().st_size
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, OverflowError, struct.error, NotImplementedError) as error:
            raise FormatError(f"{path}: no .sog bundle: {error}") from None

    def read(self, name: str, limit: int) -> bytes:
        """One file; FormatError if it is missing, damaged or larger than `limit` bytes."""
        try:
            with self._zip.open(name) as stream:
                data = stream.read(limit + 1)
        except KeyError:
            raise FormatError(f"{self.path}: holds no file {name!r}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError) as error:
            raise FormatError(f"{self.path}: {name!r} is damaged: {error}") from None
        if len(data) > limit:
            raise FormatError(f"{self.path}: {name!r} unpacks to more than {limit} bytes")
        return data

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()


class FolderFiles:
    """A folder with meta.json and images beside it."""

    def __init__(self, path: str | Path) -> None:
        """`path` is the folder."""
        self.path = str(path)
        self._folder = Path(path)
        self.total = sum(p.stat().st_size for p in self._folder.iterdir() if p.is_file())

    def read(self, name: str, limit: int) -> bytes:
        """One file of the folder itself; FormatError for names that lead elsewhere, by a link too."""
        path = self._folder / name
        if path.parent != self._folder or path.resolve().parent != self._folder.resolve():
            raise FormatError(f"{self.path}: {name!r} leads out of the folder")
        if not path.is_file():
            raise FormatError(f"{self.path}: holds no file {name!r}")
        if path.stat().st_size > limit:
            raise FormatError(f"{self.path}: {name!r} is larger than {limit} bytes")
        return path.read_bytes()

    def close(self) -> None:
        """Nothing is open."""


class Meta:
    """meta.json, with every access checked."""

    def __init__(self, files: Files) -> None:
        """Parse; FormatError if it is no JSON object."""
        self._path = files.path
        try:
            value = json.loads(files.read("meta.json", MAX_META))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{files.path}: meta.json is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise FormatError(f"{files.path}: meta.json is no JSON object")
        self.root: Json = value

    def section(self, name: str) -> Json:
        """A nested object, such as "means"."""
        value = self.root.get(name)
        if not isinstance(value, dict):
            raise FormatError(f"{self._path}: meta.json has no object {name!r}")
        return value

    def numbers(self, section: str, key: str, length: int) -> NDArray[np.float64]:
        """A list of finite numbers (or one number, for length 1); null becomes NaN only at index 0."""
        value = self.section(section).get(key)
        items = value if isinstance(value, list) else [value]
        if len(items) == length > 1 and items[0] is None:
            items = [math.nan, *items[1:]]  # Some writers lost the first entry of a codebook.
        floats = [v for v in items if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(items) != length or len(floats) != length:
            raise FormatError(f"{self._path}: meta.json {section}.{key} must be {length} numbers")
        try:
            numbers = np.array([float(v) for v in floats])
        except OverflowError:
            numbers = np.array([math.inf])
        if (
            not np.isfinite(numbers[1:] if math.isnan(numbers[0]) else numbers).all()
            or (np.abs(numbers) > 1e30).any()
        ):
            raise FormatError(f"{self._path}: meta.json {section}.{key} holds absurd numbers")
        return numbers

    def codebook(self, section: str) -> NDArray[np.float32]:
        """The 256 values of a section."""
        values = self.numbers(section, "codebook", 256)
        if math.isnan(values[0]):
            values[0] = values[1] + (values[1] - values[255]) / 255
        return values.astype(np.float32)

    def names(self, section: str, count: int) -> list[str]:
        """Plain file names; FormatError for anything with a folder in it."""
        value = self.section(section).get("files")
        if not isinstance(value, list) or len(value) != count:
            raise FormatError(f"{self._path}: meta.json {section}.files must be {count} names")
        for name in value:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise FormatError(f"{self._path}: {str(name)[:100]!r} is no plain file name")
        return [str(name) for name in value]

    def count(self, value: object, files: Files) -> int:
        """`value` as a number of splats that the files can hold."""
        if type(value) is not int or value < 0:
            raise FormatError(f"{self._path}: the number of splats is {str(value)[:40]!r}")
        if value > MAX_SPLATS_PER_BYTE * files.total:
            raise FormatError(f"{self._path}: {value} splats cannot stand in {files.total} bytes")
        return value


def read_image(files: Files, name: str, pixels: int, width: int | None = None) -> Bytes:
    """An image as uint8 [pixels, 4], or with `width` as [height, width, 4] of at least `pixels`.

    Its size is checked before it is decoded: more than 4 times the pixels due (and a margin) is refused.

    Raises:
        FormatError: missing, damaged, no WebP or PNG, too small or far too large.
    """
    from PIL import Image

    data = files.read(name, 16 * files.total + 4096)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # Sizes are checked here.
            with Image.open(io.BytesIO(data), formats=("WEBP", "PNG")) as image:
                w, h = image.size
                if w * h < pixels or (width is not None and w != width):
                    raise FormatError(f"{files.path}: {name} has {w}x{h} pixels, too few for {pixels}")
                if w * h > 4 * pixels + 65_536:
                    raise FormatError(f"{files.path}: {name} has {w}x{h} pixels where {pixels} are due")
                array = np.asarray(image.convert("RGBA"), np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{files.path}: image {name} is damaged: {error}") from None
    except Image.DecompressionBombError:
        raise FormatError(f"{files.path}: image {name} is too large") from None
    return array if width is not None else array.reshape(-1, 4)[:pixels]


def image_width(files: Files, name: str) -> int:
    """Width in pixels, without decoding."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(files.read(name, 16 * files.total + 4096)), formats=("WEBP", "PNG")) as i:
            return i.size[0]
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise FormatError(f"{files.path}: image {name} is damaged: {error}") from None


def webp(pixels: Bytes) -> bytes:
    """Lossless WebP of uint8 [height, width, 4], colours under transparent pixels included."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(stream, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return stream.getvalue()
