"""File access shared by the formats: bounded reads, and warnings of what is lost."""

from __future__ import annotations

import warnings
from pathlib import Path

from scenepress.errors import FormatError, LossWarning

MAX_SPLATS = 2**30
"""No reader accepts a larger count, whatever the file claims."""


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
