"""Writing files so that they appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PathLike = str | os.PathLike[str]


def write_whole(path: PathLike, data: bytes | bytearray | memoryview | str) -> None:
    """Write `data` (text as UTF-8) to `path`: beside it first, then renamed over it.

    Until the rename an old file of that name keeps its content; an error, an interrupt or a full disk
    leaves it, and nothing else. Links are followed; a device or pipe is written directly.

    Raises:
        OSError: the file cannot be written.
    """
    content = data.encode() if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename == str(temporary):
            raise OSError(error.errno, error.strerror, str(path)) from None  # The name the user knows.
        raise


def readable_size(count: float) -> str:
    """Bytes for people: decimal units, three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5 or unit == "GB":
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"
