"""Context kernels of the splat codec; see reference_splats for what each one does."""

from __future__ import annotations

import importlib.util
import os

from scenepress.kernels import reference_splats

LIMIT, PHASES, SPREADS = reference_splats.LIMIT, reference_splats.PHASES, reference_splats.SPREADS

if importlib.util.find_spec("scenepress.kernels._native") and os.environ.get("SCENEPRESS_BACKEND") != "reference":
    from scenepress.kernels._native import (
        neighbours,
        pack_bits,
        predict,
        reconstruct,
        sh_contexts,
        sh_inverse,
        sh_scatter,
        unpack_bits,
    )
else:
    from scenepress.kernels.reference_splats import (
        neighbours,
        pack_bits,
        predict,
        reconstruct,
        sh_contexts,
        sh_inverse,
        sh_scatter,
        unpack_bits,
    )

__all__ = [
    "LIMIT",
    "PHASES",
    "SPREADS",
    "neighbours",
    "pack_bits",
    "predict",
    "reconstruct",
    "sh_contexts",
    "sh_inverse",
    "sh_scatter",
    "unpack_bits",
]
