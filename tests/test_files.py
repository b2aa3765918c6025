"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from scenepress import files


def test_writes_bytes_and_text(tmp_path: Path) -> None:
    files.write_whole(tmp_path / "a", b"\x00\xff")
    files.write_whole(str(tmp_path / "b"), "é")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == "é".encode()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_write_keeps_the_old_file(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(type(error)):
        files.write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        files.write_whole(tmp_path / "missing" / "a", b"")
    assert str(caught.value).endswith(f"'{tmp_path / 'missing' / 'a'}'")
    with pytest.raises(IsADirectoryError):
        files.write_whole(tmp_path, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_full_disk_names_the_file() -> None:
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        files.write_whole("/dev/full", b"bytes")


def test_links_are_followed_and_modes_are_the_usual(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    (tmp_path / "plain").write_bytes(b"")
    files.write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_stream_appears_only_when_it_is_done(tmp_path: Path) -> None:
    with files.whole_file(tmp_path / "a") as stream:
        stream.write(b"half")
        assert not (tmp_path / "a").exists()
        stream.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"halfwhole"
    with pytest.raises(TypeError), files.whole_file(tmp_path / "b") as stream:
        stream.writelines([b"half", None])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_pipes_are_written_directly() -> None:
    files.write_whole(os.devnull, b"gone")
    assert Path(os.devnull).is_char_device()
