"""The one list of formats, and reading and writing by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from scenepress.errors import FormatError
from scenepress.files import require_regular
from scenepress.formats.checkpoint import read_checkpoint
from scenepress.formats.compressed_ply import read_compressed_ply, write_compressed_ply
from scenepress.formats.gltf import read_gltf, write_glb
from scenepress.formats.ksplat import read_ksplat
from scenepress.formats.ply import read_ply, write_ply
from scenepress.formats.ply_header import read_header
from scenepress.formats.sog import read_sog, write_sog
from scenepress.formats.splat import read_splat, write_splat
from scenepress.formats.spz import read_spz, write_spz
from scenepress.scene import Splats


@dataclasses.dataclass(frozen=True)
class Format:
    """One line of the table."""

    name: str
    suffixes: tuple[str, ...]
    """Ends of file names, lower case, with the dot, or a whole name; the longest that fits decides."""
    magics: tuple[bytes, ...]
    """First bytes that only this format's files have; none where the name must be trusted."""
    read: Callable[[str | Path], Splats]
    write: Callable[[Splats, str | Path], None] | None
    """None: this format can only be read."""


FORMATS = (
    Format("compressed.ply", (".compressed.ply",), (b"ply",), read_compressed_ply, write_compressed_ply),
    Format("ply", (".ply",), (b"ply",), read_ply, write_ply),
    Format("spz", (".spz",), (b"NGSP", b"\x1f\x8b"), read_spz, write_spz),
    Format("sog", (".sog",), (b"PK\x03\x04",), read_sog, write_sog),
    Format("sog folder", ("meta.json",), (), read_sog, write_sog),
    Format("splat", (".splat",), (), read_splat, write_splat),
    Format("ksplat", (".ksplat",), (), read_ksplat, None),
    Format("glb", (".glb",), (b"glTF",), read_gltf, write_glb),
    Format("gltf", (".gltf",), (), read_gltf, None),
    Format("checkpoint", (".ckpt", ".pt"), (), read_checkpoint, None),
)
"""Every format of other people's that scenepress knows. Options of a writer are those of its function."""


def by_suffix(path: str | Path) -> Format | None:
    """The format that the file's name says, or None."""
    name = Path(path).name.lower()
    fitting = [(len(s), f) for f in FORMATS for s in f.suffixes if name == s or (s[0] == "." and name.endswith(s))]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def by_name(name: str) -> Format:
    """The format called `name`."""
    return next(f for f in FORMATS if f.name == name)


def identify(path: str | Path) -> Format:
    """The format of a file or folder. Content wins over the name, except for formats without a mark.

    Raises:
        FormatError: no format fits, or a pipe or device.
        OSError: the file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        is_sog = (path / "meta.json").is_file()
        return by_name("sog folder" if is_sog else "checkpoint")  # Which says what it looked for.
    require_regular(path)
    named = by_suffix(path)
    if named is not None and not named.magics:
        return named
    with open(path, "rb") as stream:
        head = stream.read(4)
        marked = next((f for f in FORMATS if head.startswith(f.magics)), None)
        if marked is not None and marked.magics == (b"ply",):
            is_packed = read_header(stream, str(path)).element("chunk") is not None
            return by_name("compressed.ply" if is_packed else "ply")
    found = marked or named
    if found is None:
        known = ", ".join(s for f in FORMATS for s in f.suffixes)
        raise FormatError(f"{path}: unknown file type; known are {known}")
    return found


def read(path: str | Path) -> Splats:
    """Read a scene: a file of any format of FORMATS, or a folder.

    Raises:
        FormatError: an unknown or damaged file.
        OSError: the file cannot be read.
    """
    return identify(path).read(path)


def write(splats: Splats, path: str | Path) -> None:
    """Write a scene in the format that the file's name says; it appears whole or not at all.

    For options, such as the version of an .spz, call the format's own function.

    Raises:
        ValueError: no format, or a format that is only read, has this suffix.
        OSError: the file cannot be written.
    """
    found = by_suffix(path)
    if found is None or found.write is None:
        known = ", ".join(s for f in FORMATS if f.write for s in f.suffixes)
        raise ValueError(f"{path}: cannot write this file type; known are {known}")
    found.write(splats, path)
