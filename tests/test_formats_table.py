"""The table: content wins over names, unknown files are named, every line works."""

from pathlib import Path

import numpy as np
import pytest
from splat_scenes import random_splats

from scenepress.errors import FormatError
from scenepress.formats import table


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply", "a.spz", "a.sog", "a.glb"])
@pytest.mark.parametrize("other", ["b", "b.unknown", "b.ply", "B.SPZ", "b.glb"])
def test_content_wins_over_the_name(tmp_path: Path, name: str, other: str) -> None:
    table.write(random_splats(5, 1), tmp_path / name)
    want = table.read(tmp_path / name)
    (tmp_path / name).rename(tmp_path / other)
    got = table.read(tmp_path / other)
    np.testing.assert_array_equal(got.means, want.means)
    assert got.axes == want.axes


def test_formats_without_a_mark_go_by_their_name(tmp_path: Path) -> None:
    table.write(random_splats(5, 0), tmp_path / "a.SPLAT")
    assert len(table.read(tmp_path / "a.SPLAT")) == 5
    (tmp_path / "a.SPLAT").rename(tmp_path / "a.bin")
    with pytest.raises(FormatError, match=r"unknown file type; known are \.compressed\.ply, \.ply"):
        table.read(tmp_path / "a.bin")


@pytest.mark.parametrize("entry", table.FORMATS, ids=lambda entry: entry.name)
def test_every_reader_refuses_an_empty_file(tmp_path: Path, entry: table.Format) -> None:
    path = tmp_path / f"a{entry.suffixes[0]}" if entry.suffixes[0][0] == "." else tmp_path / entry.suffixes[0]
    path.write_bytes(b"")
    if entry.name == "splat":  # Zero splats of 32 bytes.
        assert len(table.read(path)) == 0
    else:
        with pytest.raises(FormatError):
            table.read(path)
    with pytest.raises(OSError, match="No such file"):
        table.read(path.parent / "missing" / path.name)


def test_only_what_can_be_written_is(tmp_path: Path) -> None:
    for name in ("a.ksplat", "a.ckpt", "a.gltf", "a", "a.png", "a_meta.json"):
        with pytest.raises(ValueError, match="cannot write this file type"):
            table.write(random_splats(1, 0), tmp_path / name)
    assert not list(tmp_path.iterdir())
