"""The viewer in a real browser: headless Chromium with software WebGL2. Pictures of the main states are left in
build/viewer for people to look at."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scenepress import api, container, quality
from scenepress.cameras import look_at
from scenepress.errors import BitstreamError
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats
from scenepress.viewers import scenes, server
from scenepress.viewers.export import export

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data/samples/still_life.ply"
PICTURES = ROOT / "build/viewer"
CONFORMANCE = ROOT / "tests/conformance"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PLAYWRIGHT = ROOT / "tests/web/node_modules/playwright-core"
WIDTH, HEIGHT = 480, 360
SLOW = 30_000  # Bytes a second.
USUAL = ROOT.parent / "shared/data/splats/trained/plush_150k_sh3.ply"
needs_usual = pytest.mark.skipif(not USUAL.is_file(), reason="needs ../shared")

pytestmark = [
    pytest.mark.skipif(not (scenes.APP / "index.html").is_file(), reason="the viewer is not built: make web"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium"),
    pytest.mark.skipif(not PLAYWRIGHT.is_dir(), reason="npm ci --prefix tests/web was not run"),
    pytest.mark.xdist_group("browser"),
]

CAMERA = look_at([0.9, -1.2, -3.2], [0.0, 0.0, 0.0], [0, -1, 0], width=WIDTH, height=HEIGHT, fov=0.9)


def pose_of(camera: Camera) -> dict[str, Any]:
    pose: dict[str, Any] = json.loads(scenes.listing([], [camera]))["views"][0]
    return pose


def rolled(pose: dict[str, Any]) -> dict[str, Any]:
    """The same place, with the head to the side."""
    matrix = np.array(pose["matrix"]).reshape(4, 4)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]]
    return {**pose, "matrix": (turn @ matrix).ravel().tolist()}


class Slow(server._Handler):
    """Scenes come slowly, and are counted."""

    sent: dict[str, int] = {}  # noqa: RUF012 -- of all requests, by scene.

    def do_GET(self) -> None:
        if self.path.startswith("/sent/"):
            body = str(Slow.sent[self.path.rsplit("/", 1)[-1]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def _copy(self, content: Path | bytes, start: int, end: int) -> None:
        data = content.read_bytes() if isinstance(content, Path) else content
        scene = self.path.rsplit("/", 1)[-1] if "/scenes/" in self.path else ""
        step = SLOW // 50 if scene else len(data) + 1
        for at in range(start, end, step):
            self.wfile.write(data[at : min(end, at + step)])
            if scene:
                Slow.sent[scene] = Slow.sent.get(scene, 0) + min(end, at + step) - at
                time.sleep(0.02)


@pytest.fixture(scope="module")
def scene() -> Splats:
    return api.load(SAMPLE)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, scene: Splats) -> dict[str, Any]:
    """Every scenario is run once, in one browser."""
    folder = tmp_path_factory.mktemp("viewer")
    out = folder / "out"
    out.mkdir()
    good = folder / "still_life.press"
    good.write_bytes(api.compress(scene, "high", source=SAMPLE))
    data = good.read_bytes()
    (folder / "cut.press").write_bytes(data[: len(data) * 6 // 10])
    last = container.read(data).chunks[-1]
    at = data.rindex(bytes(last.payload)) + len(last.payload) // 2
    (folder / "corrupt.press").write_bytes(data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :])
    slow_files = [good]
    if USUAL.is_file():
        slow_files.append(folder / "usual.press")
        slow_files[1].write_bytes(api.compress(api.load(USUAL), "high", measure=False))
    (folder / "rubbish.press").write_bytes(b"rubbish" * 100)
    (folder / "site").mkdir()
    export([good], folder / "site/below", cameras=[CAMERA])
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    hosts = [
        ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder / "site"))),
        ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(ROOT))),
        slow := server._listen("127.0.0.1", 0, server._resources([scenes.shown(path) for path in slow_files], ())),
    ]
    slow.RequestHandlerClass = Slow
    for host in hosts:
        threading.Thread(target=host.serve_forever, daemon=True).start()
    site, tree, slowly = (f"http://127.0.0.1:{host.server_address[1]}" for host in hosts)
    streams = [f"{tree}/tests/conformance/{path.name}" for path in conformance_streams()]
    size, phone = {"width": WIDTH, "height": HEIGHT}, {"width": 390, "height": 780}
    pose = pose_of(CAMERA)
    with server.Server([good, folder / "cut.press", folder / "corrupt.press"], port=0) as served, server.Server(
        [good, SAMPLE], port=0
    ) as pair, server.Server([], port=0) as nothing:
        url, beside = served.url, f"{served.url}?url=scenes"
        one_path = "scenes/0/still_life.press"
        one = f"{url}?url={one_path}"
        scenarios = [
            {"name": "load", "kind": "load", "url": one, "pose": pose, "viewport": size},
            {"name": "export", "kind": "load", "url": f"{site}/below/", "viewport": size},
            {"name": "phone", "kind": "load", "url": one, "viewport": phone, "touch": True},
            {"name": "compare-source", "kind": "compare", "url": pair.url, "pose": pose, "viewport": size},
            {
                "name": "compare-level", "kind": "compare", "url": one, "pose": pose, "viewport": size,
                "left": 0, "right": 1,
            },
            {"name": "drop", "kind": "drop", "url": nothing.url, "files": [str(good)]},
            {"name": "drop-ply", "kind": "drop", "url": nothing.url, "files": [str(SAMPLE)]},
            *(
                {
                    "name": f"slow-{path.stem}", "kind": "slow", "whole": path == good,
                    "url": f"{slowly}?url=scenes/{i}/{path.name}", "counter": f"{slowly}/sent/{path.name}",
                }
                for i, path in enumerate(slow_files)
            ),
            {"name": "cut", "kind": "broken", "url": f"{beside}/1/cut.press"},
            {"name": "corrupt", "kind": "broken", "url": f"{beside}/2/corrupt.press"},
            {"name": "missing", "kind": "broken", "url": f"{beside}/7/missing.press"},
            {"name": "controls", "kind": "controls", "url": one},
            {"name": "rest", "kind": "rest", "url": one, "pose": rolled(pose), "viewport": size},
            {
                "name": "second", "kind": "second", "url": f"{url}?url=scenes/7/missing.press&url={one_path}",
                "viewport": size, "rubbish": str(folder / "rubbish.press"),
            },
            {"name": "headset", "kind": "headset", "url": one, "viewport": size},
            {"name": "empty", "kind": "empty", "url": nothing.url},
            {
                "name": "conformance", "kind": "conformance", "url": f"{tree}/tests/web/page.html",
                "streams": streams, "decoder": "/viewers/web/decoder/dist/index.js",
                "hashes": "/tests/web/hashes.mjs",
            },
        ]  # fmt: skip
        assert url
        config = folder / "config.json"
        config.write_text(json.dumps({"out": str(out), "chromium": CHROMIUM, "scenarios": scenarios}))
        command = ["node", str(ROOT / "tests/web/viewer.mjs"), str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    for host in hosts:
        host.shutdown()
    assert done.returncode == 0, done.stderr
    PICTURES.mkdir(parents=True, exist_ok=True)
    for picture in out.glob("*.png"):
        shutil.copy(picture, PICTURES)
    return {"data": data, "out": out, **json.loads(done.stdout)}


def conformance_streams() -> list[Path]:
    return sorted(CONFORMANCE.glob("*.press"))


def found(results: dict[str, Any], name: str, *, errors: bool = False) -> dict[str, Any]:
    it: dict[str, Any] = results[name]
    assert "failed" not in it, it
    if not errors:
        assert it["errors"] == [], name
    return it


def pixels(results: dict[str, Any], name: str, size: dict[str, int]) -> NDArray[np.float32]:
    raw = np.frombuffer((results["out"] / f"{name}.rgba").read_bytes(), np.uint8)
    return (raw.reshape(size["height"], size["width"], 4)[::-1, :, :3] / 255).astype(np.float32)


def rendered(scene: Splats) -> NDArray[np.float32]:
    color: NDArray[np.float32] = np.clip(rasterize(scene, CAMERA).color, 0, 1)
    return color


def test_pixels_are_those_of_the_rasterizer(results: dict[str, Any]) -> None:
    it = found(results, "load")
    assert it["assets"][0]["state"] == "whole"
    assert it["splats"] == it["assets"][0]["count"] > 10_000
    assert quality.psnr(rendered(api.decompress(results["data"])), pixels(results, "load", it["size"])) >= 30
    assert "bit/splat" in it["numbers"]
    assert "fetched" in it["numbers"]


def test_an_exported_folder_works_below_any_path(results: dict[str, Any]) -> None:
    it = found(results, "export")
    assert it["assets"][0]["state"] == "whole"
    assert quality.psnr(rendered(api.decompress(results["data"])), pixels(results, "export", it["size"])) >= 30


def test_sides_are_measured_as_the_library_measures(results: dict[str, Any], scene: Splats) -> None:
    for name, other in (("compare-source", scene), ("compare-level", api.decompress(results["data"], levels=1))):
        it = found(results, name)
        a, b = (pixels(results, f"{name}-{side}", size) for side, size in zip("ab", it["sizes"], strict=True))
        assert float(it["psnr"].split()[0]) == pytest.approx(quality.psnr(a, b), abs=0.01)
        assert float(it["ssim"]) == pytest.approx(quality.ssim(a, b), abs=2e-4)
        assert it["split"] < 0.25  # The slider was dragged to the left.
        assert quality.psnr(rendered(other), b) >= 30
    assert len(found(results, "compare-source")["options"]) > 3


def test_dropped_files_open(results: dict[str, Any], scene: Splats) -> None:
    assert found(results, "drop")["assets"][0]["state"] == "whole"
    assert found(results, "drop-ply")["splats"] == len(scene)


def test_first_picture_comes_early_from_a_slow_server(results: dict[str, Any]) -> None:
    it = found(results, "slow-still_life")
    assert 0 < it["early"] < it["splats"] == it["assets"][0]["count"]
    # A small file, of which what holds for the whole scene is a larger part than usual.
    assert it["sent"] < 0.3 * len(results["data"])
    assert it["assets"][0]["fetchedBytes"] == pytest.approx(len(results["data"]), rel=0.02)


@needs_usual
def test_first_picture_comes_within_a_tenth_of_a_file_of_usual_size(results: dict[str, Any]) -> None:
    it = found(results, "slow-usual")
    (asset,) = it["assets"]
    assert 0 < it["early"] < asset["count"]
    assert it["sent"] <= 0.1 * asset["fileBytes"]


def test_nothing_is_drawn_at_rest(results: dict[str, Any]) -> None:
    it = found(results, "rest")
    assert it["flying"] == "fly"
    assert it["frames"] == 0
    assert float(it["psnr"].split()[0]) > 10


def test_the_first_scene_that_can_be_shown_is(results: dict[str, Any]) -> None:
    it = found(results, "second", errors=True)
    assert it["splats"] > 10_000
    assert "still_life.press" in it["title"]
    assert np.linalg.norm(it["far"]) > 1  # Framed.
    assert it["notices"] == 1
    assert [word for word in it["numbers"].split() if word.isdigit()] == ["0"]  # Splats.


def test_headset(results: dict[str, Any]) -> None:
    it = found(results, "headset")
    assert not it["before"]["worn"]
    assert it["worn"]["worn"]
    left, right = (np.array(eye).reshape(4, 4)[3, :3] for eye in it["worn"]["eyes"])
    assert 0.05 < np.linalg.norm(right - left) < 0.08  # Metres.
    step = np.array(it["moved"][0]).reshape(4, 4)[3, :3] - left
    assert np.linalg.norm(step) == pytest.approx(0.3, abs=1e-3)
    assert not it["after"]["presenting"]
    assert it["after"]["pose"] == pytest.approx(it["before"]["pose"], abs=1e-6)


def test_what_is_broken_is_told_and_the_rest_stays(results: dict[str, Any]) -> None:
    cut = found(results, "cut")
    assert cut["assets"][0]["state"] == "cut short"
    assert "cut short" in cut["notice"]
    assert cut["splats"] > 0
    corrupt = found(results, "corrupt")
    assert corrupt["assets"][0]["state"] == "failed"
    assert "corrupt.press" in corrupt["notice"]
    assert corrupt["splats"] > 0
    missing = found(results, "missing", errors=True)
    assert "404" in missing["notice"]
    assert all("404" in error for error in missing["errors"])  # The browser's own line.


def test_controls(results: dict[str, Any]) -> None:
    it = found(results, "controls")
    assert [name for name in ("drag", "wheel", "reset", "bookmark", "play", "fly") if not it[name]] == []
    assert it["flying"] == "fly"
    assert it["kept"] == 2
    assert it["theme"] in ("dark", "light")
    assert it["saved"] == "still_life.png"
    for text in ("PSNR", "SSIM", "position", "level 0", "bit/splat"):
        assert text in it["panel"], text
    assert "heat map" in it["help"]
    assert len((results["out"] / "controls-saved.png").read_bytes()) > 10_000
    assert "Drop a scene here" in found(results, "empty")["text"]


def test_phone(results: dict[str, Any]) -> None:
    assert found(results, "phone")["assets"][0]["state"] == "whole"


def test_conformance_streams_decode_in_the_browser(results: dict[str, Any]) -> None:
    arrays = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
    it = found(results, "conformance")
    for path, got in zip(conformance_streams(), it["results"], strict=True):
        try:
            scene = api.decompress(path.read_bytes())
        except BitstreamError:
            assert got.get("name") == "PressError", (path.name, got)
            continue
        hashes = [hashlib.sha256(getattr(scene, name).tobytes()).hexdigest() for name in arrays]
        assert got == {"count": len(scene), "hashes": hashes}, path.name
