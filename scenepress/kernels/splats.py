"""Context kernels of the splat codec; see reference_splats for what each one does."""

from __future__ import annotations

import importlib.util
import os

from scenepress.kernels import reference_splats

LIMIT, PHASES, SPREADS = reference_splats.LIMIT, reference_splats.PHASES, reference_splats.SPREADS
KNOTS, SIZES = reference_splats.KNOTS, reference_splats.SIZES
step_of = reference_splats.step_of

FUSED: bool
"""Whether decode_channel, decode_sh_level and dequantise_level are here: whole steps of a level in one call."""

if importlib.util.find_spec("scenepress.kernels._native") and os.environ.get("SCENEPRESS_BACKEND") != "reference":
    FUSED = True
    from scenepress.kernels._native import (
        decode_channel,
        decode_sh_level,
        dequantise_level,
        diffuse_errors,
        expand_scales,
        merge,
        neighbours,
        pack_bits,
        position_exponents,
        predict,
        reconstruct,
        refine,
        rotation_steps,
        sh_contexts,
        sh_inverse,
        sh_predict,
        sh_scatter,
        unpack_bits,
    )
else:
    FUSED = False
    from scenepress.kernels.reference_splats import (
        diffuse_errors,
        expand_scales,
        merge,
        neighbours,
        pack_bits,
        position_exponents,
        predict,
        reconstruct,
        refine,
        rotation_steps,
        sh_contexts,
        sh_inverse,
        sh_predict,
        sh_scatter,
        unpack_bits,
    )

__all__ = [
    "FUSED",
    "KNOTS",
    "LIMIT",
    "PHASES",
    "SIZES",
    "SPREADS",
    "decode_channel",
    "decode_sh_level",
    "dequantise_level",
    "diffuse_errors",
    "expand_scales",
    "merge",
    "neighbours",
    "pack_bits",
    "position_exponents",
    "predict",
    "reconstruct",
    "refine",
    "rotation_steps",
    "sh_contexts",
    "sh_inverse",
    "sh_predict",
    "sh_scatter",
    "step_of",
    "unpack_bits",
]
