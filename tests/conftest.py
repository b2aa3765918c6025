"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def find_shared() -> Path | None:
    """The folder of real inputs: $SCENEPRESS_SHARED, else a `shared` beside the checkout or further up."""
    if named := os.environ.get("SCENEPRESS_SHARED"):
        return Path(named)
    folders = (parent / "shared" for parent in ROOT.parents)
    return next((folder for folder in folders if (folder / "data/README.md").is_file()), None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real inputs, or skip the test where it is missing."""
    folder = find_shared()
    if folder is None or not (folder / "data").is_dir():
        pytest.skip("needs the folder of real inputs: set SCENEPRESS_SHARED, or put shared/ beside the checkout")
    return folder


@pytest.fixture(scope="session")
def splat_files(shared: Path) -> Path:
    """The folder of real splat files, or skip."""
    return shared / "data/splats"
