"""What the encoder aims for: settings, and the four presets of the lossy codec."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    """How far the encoder may go. Errors are of renders with colours in 0..1."""

    psnr: float
    """dB that renders of the decoded scene should have against the source's; they come near it."""
    prune: float = 0.5
    """How readily splats are dropped: 1 where the bits saved are worth the error, 0 never."""
    dead_zone: float = 0.56
    """SH coefficients below this many steps become 0; 0.5 is plain rounding."""
    position: float = 1.0
    """Factor on the steps of positions, relative to equal shares of the error."""
    scale: float = 0.8
    """The same for scales."""
    opacity: float = 1.1
    """The same for opacities."""
    rotation: float = 0.75
    """The same for rotations."""
    color: float = 0.9
    """The same for the constant SH coefficients."""
    sh: float = 0.72
    """The same for the other SH coefficients."""
    name: str = ""
    """The preset's name, for the metadata."""
    keep_order: bool = False
    """Keep every splat, and the order of the source."""
    tile_size: int = 65_536
    """Most splats in a tile."""
    learned: bool = False
    """Use the learned context model where it makes the file smaller: by 1 to 4%, for twice the time to decode."""


PRESETS: dict[str, Settings] = {
    "high": Settings(name="high", psnr=45.0),
    "balanced": Settings(name="balanced", psnr=40.0),
    "small": Settings(name="small", psnr=35.0),
    "tiny": Settings(name="tiny", psnr=30.0),
}
"""By name; "balanced" is the default of the command line."""
