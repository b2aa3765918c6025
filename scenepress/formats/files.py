"""File access shared by the formats: bounded reads, and writes that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scenepress.errors import FormatError, LossWarning

MAX_SPLATS = 2**30
"""No reader accepts a larger count, whatever the file claims."""


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; it takes the name `path` once all went well.

    On any exception, KeyboardInterrupt included, the temporary file is removed and `path` stays
    as it was.
    """
    path = Path(os.path.realpath(path))  # Through a link, the file it leads to.
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.chmod(name, _default_mode())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _default_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def read_bytes(path: str | Path, what: str, limit: int = 2**36) -> bytes:
    """The whole file; FormatError if it holds more than `limit` bytes."""
    path = Path(path)
    size = path.stat().st_size
    if size > limit:
        raise FormatError(f"{path}: {what} of {size} bytes is larger than the {limit} bytes allowed")
    return path.read_bytes()


def check_count(count: int, path: str | Path) -> int:
    """`count` itself if it is a plausible number of splats, else FormatError."""
    if not 0 <= count <= MAX_SPLATS:
        raise FormatError(f"{path}: claims {count} splats; at most {MAX_SPLATS} can be read")
    return count


def warn_loss(message: str) -> None:
    """Issue a LossWarning that points at the caller of the reader or writer."""
    warnings.warn(message, LossWarning, stacklevel=4)
