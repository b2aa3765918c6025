"""Images for the page: data URIs, and error maps in one scale for all views."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from scenepress.quality import Image, to_8bit

SCALES = (2, 4, 8, 16, 32, 64, 128, 255)
"""Tops an error map's scale may have, in steps of 1/255."""
STOPS = np.array(
    [
        (4, 4, 16),
        (52, 16, 92),
        (118, 30, 110),
        (184, 54, 84),
        (236, 104, 40),
        (250, 176, 50),
        (252, 250, 200),
    ]
)
"""Black, purple, orange, pale yellow: brightness grows steadily, so it reads without colour too."""


def error(reference: Image, test: Image) -> NDArray[np.float32]:
    """Root of the mean squared error over the channels of each pixel, float32 [H, W]."""
    squares: NDArray[np.float32] = np.square(reference - test).mean(axis=2, dtype=np.float32)
    return np.sqrt(squares)


def scale_top(errors: list[NDArray[np.float32]]) -> int:
    """The smallest top that 99.5 % of all pixels stay under, in steps of 1/255."""
    high = 255 * float(np.quantile(np.concatenate([e.ravel() for e in errors]), 0.995))
    return next(top for top in SCALES if high <= top or top == SCALES[-1])


def heat(error: NDArray[np.float32], top: int) -> NDArray[np.uint8]:
    """Colours for errors from 0 to `top` / 255 (and above), uint8 [H, W, 3]."""
    position = np.clip(error * (255 / top), 0, 1) * (len(STOPS) - 1)
    lower = np.minimum(position.astype(np.int64), len(STOPS) - 2)
    weight = (position - lower)[..., None]
    colours = STOPS[lower] * (1 - weight) + STOPS[lower + 1] * weight
    return to_8bit(colours / 255)


def gradient() -> str:
    """The colours of `heat` as a CSS gradient from left to right."""
    stops = ", ".join(f"rgb({int(r)} {int(g)} {int(b)})" for r, g, b in STOPS)
    return f"linear-gradient(to right, {stops})"


def encoded(image: NDArray[np.uint8] | Image, kind: str) -> bytes:
    """An image file, without loss: `kind` is "PNG" or "WEBP". Floats are in [0, 1]."""
    import PIL.Image

    options = {"lossless": True, "quality": 60, "exact": True} if kind == "WEBP" else {"optimize": True}
    pixels = to_8bit(image.astype(np.float32)) if image.dtype.kind == "f" else image
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def data_uri(image: NDArray[np.uint8] | Image) -> str:
    """An image inside an address, without loss: WebP where Pillow can write it, else PNG."""
    import PIL.features

    kind = "WEBP" if PIL.features.check("webp") else "PNG"
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded(image, kind)).decode()}"
