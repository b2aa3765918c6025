"""What the viewer's server answers, the exported folder, and the views of cameras; no browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scenepress import api
from scenepress.cameras import look_at
from scenepress.errors import FormatError
from scenepress.viewers import scenes
from scenepress.viewers.export import export
from scenepress.viewers.notebook import show
from scenepress.viewers.server import Server
from tests.scenes import cloud

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A viewer of two files, so that none needs to be built."""
    folder = tmp_path / "app"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<html>")
    (folder / "scenes.json").write_text('{"scenes": []}')
    (folder / "assets/code-1.js").write_text("1")
    monkeypatch.setattr(scenes, "APP", folder)
    return folder


@pytest.fixture
def press(tmp_path: Path) -> Path:
    path = tmp_path / "a scene.press"
    path.write_bytes(api.compress(cloud(500, 1), "balanced", measure=False))
    return path


@pytest.fixture
def server(app: Path, press: Path) -> Iterator[Server]:
    with Server([press], port=0) as it:
        yield it


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rstrip("/").rsplit(":", 1)[1]), timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


SCENE = "/scenes/0/a%20scene.press"


def test_files_come_whole_and_in_ranges(server: Server, press: Path) -> None:
    data = press.read_bytes()
    status, headers, body = ask(server, SCENE)
    assert (status, body, headers["Accept-Ranges"]) == (200, data, "bytes")
    size = len(data)
    for asked, start, end in (("5-9", 5, 10), ("100-", 100, size), ("-7", size - 7, size), ("3-9999999", 3, size)):
        status, headers, body = ask(server, SCENE, Range=f"bytes={asked}")
        assert (status, body) == (206, data[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(data)}"
    status, headers, body = ask(server, SCENE, Range=f"bytes={len(data)}-")
    assert (status, headers["Content-Range"], body) == (416, f"bytes */{len(data)}", b"")
    for odd in ("bytes=9-5", "bytes=1-2,4-5", "lines=1-2", "bytes=-"):
        assert ask(server, SCENE, Range=odd)[0] == 200
    status, headers, body = ask(server, SCENE, "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(data)), b"")


def test_caching(server: Server, press: Path) -> None:
    tag = ask(server, SCENE)[1]["ETag"]
    assert ask(server, SCENE, If_None_Match=tag)[0] == 304
    assert ask(server, SCENE, Range="bytes=0-1", If_Range='"other"')[0] == 200
    assert "immutable" in ask(server, "/assets/code-1.js")[1]["Cache-Control"]
    assert ask(server, "/")[1]["Cache-Control"] == "no-cache"
    press.write_bytes(press.read_bytes() + b"more")
    assert ask(server, SCENE, If_None_Match=tag)[0] == 200


def test_nothing_else_is_served(server: Server, press: Path) -> None:
    above = ("/../a%20scene.press", "/scenes/0/../../index.html", "/%2e%2e/x", "//etc/passwd")
    for path in (*above, "/scenes/0/", "/scenes/1/a", "/x?y"):
        assert ask(server, path)[0] == 404, path
    assert ask(server, "/", Host="example.org")[0] == 403
    assert ask(server, "/", Host="localhost:1")[0] == 200
    assert ask(server, "/", "POST")[0] == 501
    press.unlink()
    assert ask(server, SCENE)[0] == 404


def test_other_formats_are_converted_without_loss(app: Path, tmp_path: Path) -> None:
    scene = cloud(300, 2)
    api.save(scene, tmp_path / "s.ply")
    with Server([tmp_path / "s.ply"], port=0) as server:
        listing = json.loads(ask(server, "/scenes.json")[2])
        assert listing["scenes"] == [{"name": "s.ply", "url": "./scenes/0/s.ply"}]
        decoded = api.decompress(ask(server, "/scenes/0/s.ply")[2])
    assert np.array_equal(decoded.means, scene.means)
    (tmp_path / "no.ply").write_text("no scene")
    with pytest.raises(FormatError):
        Server([tmp_path / "no.ply"], port=0)


def test_ports_are_said_to_be_taken(server: Server, press: Path) -> None:
    port = int(server.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(OSError, match="cannot listen"):
        Server([press], port=port)


def test_views_look_where_the_cameras_do(app: Path) -> None:
    cameras = [look_at([3, -1, 0], [0, 0, 0], [0, -1, 0], width=400, height=300, fov=1.0)]
    cameras.append(look_at([0, -1, 3], [0, 0, 0], [0, -1, 0], width=400, height=300, fov=1.0))
    views = json.loads(scenes.listing([], cameras))["views"]
    for camera, view in zip(cameras, views, strict=True):
        matrix = np.array(view["matrix"]).reshape(4, 4).T
        eye = np.linalg.inv(camera.world_to_camera)[:3, 3] * [1, -1, -1]
        assert np.allclose(matrix[:3, 3], eye)
        assert np.allclose(view["target"], 0, atol=1e-9)  # Where the two lines of sight meet.
        assert np.allclose(-matrix[:3, 2], -eye / np.linalg.norm(eye))
        assert matrix[1, 1] > 0.9  # Up is up.


def test_export_is_whole_or_not_at_all(app: Path, press: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    export([press], site)
    listing = json.loads((site / "scenes.json").read_text())
    assert (site / "scenes/0/a scene.press").read_bytes() == press.read_bytes()
    assert listing["scenes"][0]["url"] == "./scenes/0/a%20scene.press"
    with pytest.raises(FileExistsError, match="name a new folder"):
        export([press], site)
    with pytest.raises(FileNotFoundError):
        export([tmp_path / "missing.press"], tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a scene.press", "app", "site"]


def test_without_a_built_viewer_it_says_so(press: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "APP", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="make web"):
        Server([press], port=0)


def test_notebook(app: Path, press: Path) -> None:
    view = show(press, height=300)
    assert view.server.url in view._repr_html_()
    assert ask(view.server, "/")[0] == 200
    view.close()
    with pytest.raises(ValueError, match="file"):
        show()
