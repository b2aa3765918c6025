"""Every stage of the bitstream, by the id that chunks carry. docs/spec/stages.md says the same in words.

Ids are never reused and a frozen stage never changes its meaning: a changed code gets a new id. The
table names stages without importing them, so that the container can say which one a chunk belongs to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["defined", "reserved"]

METADATA = 0x01
TILES = 0x02
SPLAT_PARAMETERS = 0x03
LEARNED_CONTEXTS = 0x08
DEFORMATION_FIELD = 0x09
ORDER = 0x10
POSITION = 0x11
OPACITY = 0x12
SCALE = 0x13
ROTATION = 0x14
COLOUR = 0x15
SH = 0x16
POSITION_REFINEMENT = 0x17
LOSSLESS = 0x1F

FIRST_LEVEL_STAGE = 0x10
"""Smaller ids hold for the whole scene and come first in a file; the others come level by level."""
FIRST_PRIVATE_STAGE = 0x80
"""From here on ids are free for private use and mean nothing to anybody else."""


class Stage(NamedTuple):
    """One line of the table."""

    name: str
    """As error messages and reports say it."""
    spec: str
    """Page under docs/spec/, without the suffix; empty for a reserved id."""
    status: Status
    """"reserved": the id is taken, and no decoder understands it yet."""


STAGES: dict[int, Stage] = {
    METADATA: Stage("metadata", "metadata", "defined"),
    TILES: Stage("tiles", "tiles", "defined"),
    SPLAT_PARAMETERS: Stage("splat parameters", "parameters", "defined"),
    LEARNED_CONTEXTS: Stage("learned contexts", "", "reserved"),
    DEFORMATION_FIELD: Stage("deformation field", "hexplane", "reserved"),
    ORDER: Stage("order", "order", "defined"),
    POSITION: Stage("position", "position", "defined"),
    OPACITY: Stage("opacity", "opacity", "defined"),
    SCALE: Stage("scale", "scale", "defined"),
    ROTATION: Stage("rotation", "rotation", "defined"),
    COLOUR: Stage("colour", "color", "defined"),
    SH: Stage("sh", "sh", "defined"),
    POSITION_REFINEMENT: Stage("position refinement", "refinement", "defined"),
    LOSSLESS: Stage("lossless", "lossless", "defined"),
}
"""Adding a stage is adding a line here and one to docs/spec/stages.md."""


def is_known(stage: int) -> bool:
    """Whether this version of the library can decode chunks of this stage."""
    return stage in STAGES and STAGES[stage].status == "defined"


def describe(stage: int) -> str:
    """Name and id for messages, e.g. "position (0x11)"."""
    if stage in STAGES:
        return f"{STAGES[stage].name} (0x{stage:02X})"
    return f"{'private' if stage >= FIRST_PRIVATE_STAGE else 'unknown'} stage (0x{stage:02X})"
