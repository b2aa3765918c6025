"""Which kernels the splat codec runs on, one test at a time."""

from __future__ import annotations

import importlib

import pytest

from scenepress import kernels
from scenepress.kernels import reference_splats
from scenepress.kernels import splats as chosen

NAMES = list(kernels.BACKENDS)
"""Of all kernels together; the splat kernels have one native variant."""


def splat_kernels(name: str) -> object:
    """The module whose functions are the splat kernels of this backend."""
    return reference_splats if name == "reference" else importlib.import_module("scenepress.kernels._native")


def use(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run everything on this backend until the test ends."""
    monkeypatch.setenv("SCENEPRESS_BACKEND", name)
    source = splat_kernels(name)
    for function in chosen.__all__:
        if callable(getattr(chosen, function)):
            monkeypatch.setattr(chosen, function, getattr(source, function))
