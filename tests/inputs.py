"""Where the real inputs are that tests and benchmarks use if they are at hand; the repository holds none."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def find_shared() -> Path:
    """$SCENEPRESS_SHARED, else the nearest folder `shared` beside the checkout or above; it may be missing."""
    if named := os.environ.get("SCENEPRESS_SHARED"):
        return Path(named)
    folders = [parent / "shared" for parent in ROOT.parents]
    return next((folder for folder in folders if (folder / "data/README.md").is_file()), folders[0])


SHARED = find_shared()


def shared(name: str) -> Path:
    """A real file or folder under shared/data, such as "splats/leica_8k_sh3.ply"; skips the test without it."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"real input {name} is not at hand: set SCENEPRESS_SHARED, or put shared/ beside the checkout")
    return path
