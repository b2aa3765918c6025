"""The commands `view` and `export-viewer`."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from scenepress import api, checks, cli, container
from scenepress.cli import UsageError
from scenepress.scene import Camera
from scenepress.viewers.export import export, require_new
from scenepress.viewers.server import LOOPBACK, Server

MAX_PORT = 65535


def run(command: cli.View | cli.ExportViewer) -> None:
    """Do what was asked.

    Raises:
        UsageError: no file, or no port.
        BitstreamError, FormatError, OSError: a scene cannot be read, a port or folder cannot be had.
    """
    if not command.sources:
        raise UsageError("name at least one file")
    for path in command.sources:
        if api.is_press(path) and path.is_file() and not _begins_well(path):
            cli.warn(f"{path}: does not start as a .press file; the viewer will say so")
    if isinstance(command, cli.View):
        view(command)
    else:
        require_new(command.output)
        if not command.output.is_dir():  # An empty one is filled.
            checks.require_place(command.output)
        export(command.sources, command.output, cameras=_cameras(command.cameras))


def view(command: cli.View) -> None:
    """Serve until interrupted."""
    if not command.host:
        raise UsageError("--host: name an address of this machine; 0.0.0.0 is all of them")
    if command.port is not None and not 0 <= command.port <= MAX_PORT:
        raise UsageError(f"--port must be between 0 and {MAX_PORT}, got {command.port}")
    cameras = _cameras(command.cameras)
    with Server(command.sources, host=command.host, port=command.port, cameras=cameras) as server:
        print(f"{_names(command.sources)}: {server.url}  (Ctrl+C ends)", flush=True)
        if command.host not in LOOPBACK:
            cli.warn(f"whoever reaches {command.host} can read the scenes")
        if not command.no_browser:
            webbrowser.open(server.url)
        try:
            server.wait()
        except KeyboardInterrupt:
            print()


def _cameras(path: Path | None) -> Sequence[Camera]:
    return () if path is None else checks.read_cameras(path)


def _names(sources: Sequence[Path]) -> str:
    return ", ".join(os.fsencode(source.name).decode("utf-8", "replace") for source in sources)


def _begins_well(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(container.MAGIC)) == container.MAGIC
