"""The viewer inside a Jupyter notebook."""

from __future__ import annotations

import atexit
from html import escape

from scenepress.files import PathLike
from scenepress.viewers.server import Server


class NotebookView:
    """What a notebook shows as the viewer. Serves the scenes until close(), or until the kernel ends."""

    def __init__(self, server: Server, height: int) -> None:
        """Show what `server` serves, `height` pixels high."""
        self.server = server
        self.height = height
        atexit.register(self.close)

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{escape(self.server.url)}" style="width: 100%; height: {self.height}px; border: 0"'
            ' allow="fullscreen; xr-spatial-tracking" title="scenepress viewer"></iframe>'
        )

    def close(self) -> None:
        """Stop serving; what is shown stays as it is."""
        atexit.unregister(self.close)
        self.server.close()


def show(*files: PathLike, height: int = 600) -> NotebookView:
    """Show scenes in a notebook: the last expression of a cell, or an argument of display().

    The notebook's browser must run on the machine of its kernel.

    Args:
        files: scenes; two and more are compared. Formats other than .press are converted, without loss.
        height: pixels.

    Raises:
        FormatError, BitstreamError, OSError: a scene cannot be read.
        ValueError: no file, or no height.
    """
    if not files or height < 1:
        raise ValueError("show() needs a file and a positive height")
    return NotebookView(Server(files, port=0), height)
