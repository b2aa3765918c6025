"""Files that torch.save() wrote, loaded with torch's restricted unpickler only, which builds tensors and plain
containers and runs nothing else."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import FormatError

Floats = NDArray[np.float32]


def load_torch(path: Path) -> Mapping[object, object]:
    """The checkpoint's content, tensors not yet copied."""
    _check_zip(path)
    import torch  # Seconds to load, and not everybody has it.

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError:
        raise
    except Exception as error:  # The unpickler raises anything on damaged input.
        raise FormatError(f"{path}: not a checkpoint of tensors and plain containers{_reason(error)}") from None
    if not isinstance(content, Mapping):
        raise FormatError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    return content


def _reason(error: Exception) -> str:
    """What torch found, without its advice to load the file in a way that runs what it says."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not re.search("weights_only|WeightsUnpickler error:$", line)]
    return f": {lines[0][:200]}" if lines else ""


def _check_zip(path: Path) -> None:
    """torch trusts sizes inside the zip; make sure that nothing in it can grow."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise FormatError(f"{path}: no torch checkpoint of version 1.6 or later: {error}") from None
    stored = all(e.compress_type == zipfile.ZIP_STORED and e.file_size == e.compress_size for e in entries)
    if not stored or sum(e.file_size for e in entries) > path.stat().st_size:
        raise FormatError(f"{path}: entries are compressed or overlap, which torch never writes")


def float_array(tensors: Mapping[object, object], key: str, path: Path, *shape: int | None) -> Floats:
    """A tensor as float32 of this shape (None: any length), copied."""
    import torch

    tensor = tensors.get(key)
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        raise FormatError(f"{path}: no tensor {key!r}")
    fits = tensor.dim() == len(shape) and all(
        want in (None, got) for want, got in zip(shape, tensor.shape, strict=False)
    )
    if not fits or not tensor.is_floating_point():
        raise FormatError(f"{path}: tensor {key!r} is {tensor.dtype} {list(tensor.shape)}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise FormatError(f"{path}: tensor {key!r} repeats its values, as no checkpoint does")
    return np.array(tensor.detach().to(torch.float32).numpy(), np.float32)
