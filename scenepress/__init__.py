"""Compress 3D scenes into one small, open, bit-exact `.press` file, and prove how good it is.

    import scenepress

    scene = scenepress.load("garden.ply")
    scenepress.save(scene, "garden.press", preset="small")
    print(scenepress.inspect("garden.press").press.metadata.quality)

Names are imported on first use, so that `import scenepress` costs nothing. docs/api.md is the guide.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "BitstreamError",
    "Camera",
    "Comparison",
    "Distillation",
    "FormatError",
    "Inspection",
    "LossWarning",
    "Splats",
    "__version__",
    "compare",
    "compress",
    "decompress",
    "inspect",
    "load",
    "rasterize",
    "read_cameras",
    "save",
    "synthesize",
]

if TYPE_CHECKING:
    from scenepress.api import compress, decompress, inspect, load, save
    from scenepress.cameras import read_cameras, synthesize
    from scenepress.distillation import Distillation
    from scenepress.errors import BitstreamError, FormatError, LossWarning
    from scenepress.inspection import Inspection
    from scenepress.quality import Comparison, compare
    from scenepress.render import rasterize
    from scenepress.scene import Camera, Splats

_HOMES = {
    "scenepress.api": ("compress", "decompress", "inspect", "load", "save"),
    "scenepress.cameras": ("read_cameras", "synthesize"),
    "scenepress.distillation": ("Distillation",),
    "scenepress.errors": ("BitstreamError", "FormatError", "LossWarning"),
    "scenepress.inspection": ("Inspection",),
    "scenepress.quality": ("Comparison", "compare"),
    "scenepress.render": ("rasterize",),
    "scenepress.scene": ("Camera", "Splats"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = value = getattr(importlib.import_module(home), name)
            return value
    raise AttributeError(f"module 'scenepress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
