"""Which kernels the splat codec runs on, one test at a time."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from scenepress import kernels
from scenepress.kernels import learned, reference_learned, reference_splats
from scenepress.kernels import splats as chosen

NAMES = list(kernels.BACKENDS)
"""Of all kernels together; the splat kernels have one native variant."""


def splat_kernels(name: str) -> ModuleType:
    """The module whose functions are the splat kernels of this backend."""
    return reference_splats if name == "reference" else importlib.import_module("scenepress.kernels._native")


def use(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run everything on this backend until the test ends."""
    monkeypatch.setenv("SCENEPRESS_BACKEND", name)
    monkeypatch.setattr(chosen, "FUSED", name != "reference")
    swapped = {}
    for module, reference in ((chosen, reference_splats), (learned, reference_learned)):
        source = reference if name == "reference" else splat_kernels(name)
        swapped |= {
            id(getattr(module, f)): getattr(source, f)
            for f in module.__all__
            if callable(getattr(module, f, None)) and hasattr(source, f)
        }
    # Stages call some kernels by a name of their own.
    places = ("scenepress.stages.", chosen.__name__, learned.__name__)
    for module in [m for key, m in sys.modules.items() if key.startswith(places)]:
        for attribute, value in list(vars(module).items()):
            if id(value) in swapped:
                monkeypatch.setattr(module, attribute, swapped[id(value)])
