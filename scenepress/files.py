"""Writing files and folders so that they appear whole or not at all, and sizes for people."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scenepress.errors import FormatError

PathLike = str | os.PathLike[str]

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device or terminal"),
    (stat.S_ISBLK, "a device"),
)


def require_regular(path: PathLike) -> None:
    """Refuse what can be read only once, or without end: readers look at a file's size and come back to its start.

    Raises:
        FormatError: a pipe, socket or device.
        OSError: nothing there.
    """
    mode = os.stat(path).st_mode
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise FormatError(f"{path}: {kind}, not a regular file; write what it holds to a file and read that")


@contextlib.contextmanager
def whole_file(path: PathLike) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing; it takes that name once all went well.

    Until then an old file of that name keeps its content; an error, an interrupt or a full disk leaves
    it, and nothing else. Links are followed; a device or pipe is written directly.

    Raises:
        OSError: the file cannot be written; the error names `path`.
    """
    with named(path), _whole_file(path) as stream:
        yield stream


@contextlib.contextmanager
def named(path: PathLike) -> Iterator[None]:
    """Have errors of reading or writing name `path`: those of an open file, such as a full disk, name none."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextlib.contextmanager
def _whole_file(path: PathLike) -> Iterator[BinaryIO]:
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with open(target, "wb") as stream:
            yield stream
        return
    temporary = _beside(target)
    try:
        with open(temporary, "xb") as stream:
            yield stream
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename == str(temporary):
            raise OSError(error.errno, error.strerror, str(path)) from None  # The name the user knows.
        raise


@contextlib.contextmanager
def whole_folder(path: PathLike) -> Iterator[Path]:
    """Make a folder beside `path` to fill; it takes that name once all went well.

    An error or an interrupt leaves neither. `path` must not exist, or be an empty folder.

    Raises:
        OSError: the folder cannot be made, or `path` holds something.
    """
    target = Path(os.path.realpath(path))
    temporary = _beside(target)
    with named(path):
        try:
            temporary.mkdir()
            yield temporary
            if target.exists():
                target.rmdir()
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A name for what will be `target`: hidden, and nobody else's."""
    return target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.part")


def write_whole(path: PathLike, data: bytes | bytearray | memoryview | str) -> None:
    """Write `data` (text as UTF-8) to `path` as `whole_file` does."""
    with whole_file(path) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def readable_size(count: float) -> str:
    """Bytes for people: decimal units, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5 or unit == "GB":
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"
