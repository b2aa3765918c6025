"""The viewer as a folder that any web host can serve."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from scenepress.files import PathLike, whole_folder
from scenepress.scene import Camera
from scenepress.viewers import scenes


def export(files: Sequence[PathLike], folder: PathLike, *, cameras: Sequence[Camera] = ()) -> None:
    """Write the viewer and the scenes to a new folder; it appears whole or not at all.

    Args:
        files: scenes to show; two and more are compared. Formats other than .press are converted, without loss.
        folder: must not exist, or be empty.
        cameras: places to look from, in RDF, as camera files have them.

    Raises:
        FileExistsError: the folder holds something.
        FormatError, BitstreamError, OSError: a scene cannot be read, or the folder cannot be written.
        FileNotFoundError: the viewer is not built.
    """
    require_new(folder)
    app = scenes.app_files()
    held = scenes.named_apart(files)
    with whole_folder(folder) as made:
        for name, path in app.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made / name)
        _add_scenes(made, held, cameras)


def require_new(folder: PathLike) -> None:
    """Refuse a folder that holds something.

    Raises:
        FileExistsError: it does, or is no folder.
    """
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise FileExistsError(17, "exists already: name a new folder", str(folder))


def _add_scenes(folder: Path, held: Sequence[scenes.Shown], cameras: Sequence[Camera]) -> None:
    urls = []
    for number, scene in enumerate(held):
        # The content is that of a .press file, whatever it was made from: hosts go by the suffix.
        name = scene.name if scene.name.endswith(".press") else f"{scene.name}.press"
        place = folder / "scenes" / str(number)
        place.mkdir(parents=True)
        if isinstance(scene.content, bytes):
            (place / name).write_bytes(scene.content)
        else:
            shutil.copyfile(scene.content, place / name)
        urls.append((scene.label, f"./scenes/{number}/{quote(name)}"))
    (folder / "scenes.json").write_bytes(scenes.listing(urls, cameras))
