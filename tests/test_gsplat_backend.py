"""The plumbing of backend "gsplat", with a stand-in for gsplat and its device; tests/gpu has the real ones."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from scenepress import cli, distill_views, distillation, pruning, render
from scenepress.cameras import synthesize
from scenepress.distillation import Distillation
from scenepress.errors import TrainingError
from scenepress.formats import table
from scenepress.kernels import raster
from scenepress.learned import train as training
from scenepress.learned.train import TrainSettings, View
from scenepress.quality import to_8bit
from scenepress.render import Image, SplatGradients, differentiable, rasterize, training_backend
from scenepress.scene import Camera, Splats
from tests.test_gradients import ARRAYS, REAR, asked_for
from tests.test_render import camera, random_splats

torch = pytest.importorskip("torch")


def stand_in(**a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """gsplat.rasterization as far as it is used, on the project's own renderer."""
    from scenepress.learned import autograd

    k = a["Ks"][0]
    pose = a["viewmats"][0].double().numpy()
    view = Camera(pose, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), a["width"], a["height"])
    parameters = autograd.Parameters(
        a["means"], a["quats"], a["scales"].log(), a["opacities"].logit(), a["colors"][:, 0], a["colors"][:, 1:]
    )
    assert a["sh_degree"] == {0: 0, 3: 1, 8: 2, 15: 3}[parameters.shN.shape[1]]
    color, alpha = autograd.rasterize(
        parameters, view, background=a["backgrounds"][0].tolist(),
        antialiased=a["rasterize_mode"] == "antialiased",
    )  # fmt: skip
    centers = (a["means"][None, :, :2] * 0).requires_grad_(a["means"].requires_grad)
    return color[None], alpha[None, ..., None], {"means2d": centers}


@pytest.fixture
def gsplat(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What it is called for is put on the list: "image", or "gradient"."""
    asked: list[str] = []

    def rasterization(**arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        asked.append("gradient" if torch.is_grad_enabled() else "image")
        return stand_in(**arguments)

    module, backend = types.ModuleType("gsplat"), types.ModuleType("gsplat.cuda._backend")
    module.rasterization = rasterization  # type: ignore[attr-defined]
    backend._C = object()  # type: ignore[attr-defined]
    package = types.ModuleType("gsplat.cuda")
    package._backend = backend  # type: ignore[attr-defined]
    for name, value in (("gsplat", module), ("gsplat.cuda", package), ("gsplat.cuda._backend", backend)):
        monkeypatch.setitem(sys.modules, name, value)
    monkeypatch.setattr(render, "_driver_here", lambda: True)
    # As where no CUDA module was built, for auto prefers it.
    for backends in (raster.BACKENDS, raster.FRAMES):
        monkeypatch.delitem(backends, "cuda", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    return asked


def gradients(splats: Splats, backend: str) -> tuple[Image, SplatGradients]:
    frame = differentiable(splats, camera(), background=REAR.tolist(), backend=backend)  # type: ignore[arg-type]
    frame.backward(*asked_for(splats, camera(), 1))
    return frame.image, frame.backward(*asked_for(splats, camera(), 0))  # The first must leave nothing behind.


@pytest.mark.usefixtures("gsplat")
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", range(4))
def test_gradients_arrive_where_they_belong(degree: int, antialiased: bool) -> None:
    splats = random_splats(200, degree, antialiased=antialiased)
    means = splats.means.copy()
    means[::7] = np.nan
    splats = dataclasses.replace(splats, means=means)
    (image, found), (other, expected) = gradients(splats, "gsplat"), gradients(splats, "cpu")
    np.testing.assert_allclose(image.color, other.color, atol=1e-4)
    np.testing.assert_allclose(image.alpha, other.alpha, atol=1e-4)
    for name in ARRAYS:
        one, two = getattr(found, name), getattr(expected, name)
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, atol=1e-3 * np.abs(two).max(initial=1e-9), err_msg=name)
    assert found.centers.shape == (200, 2)
    shown = rasterize(splats, camera(), background=REAR.tolist(), backend="gsplat")
    np.testing.assert_array_equal(shown.color, image.color)


@pytest.mark.usefixtures("gsplat")
def test_nothing_to_see() -> None:
    _, found = gradients(random_splats(0, 1), "gsplat")
    assert found.means.shape == (0, 3)
    assert found.shN.shape[::2] == (0, 3)


def test_without_gsplat_or_a_device_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"gsplat.* needs"):
        differentiable(random_splats(3), camera(), backend="gsplat")
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(ValueError, match="extra"):
        rasterize(random_splats(3), camera(), backend="gsplat")


def photographs(splats: Splats) -> list[View]:
    cameras = synthesize(splats, 4, 48)
    return [View(view, to_8bit(rasterize(splats, view, backend="cpu").color)) for view in cameras]


def test_training_asks_the_backend_that_was_chosen(gsplat: list[str]) -> None:
    splats = random_splats(60, 1)
    views, settings = photographs(splats), TrainSettings(steps=5, sh_degree=1)
    on_cpu = training.train(views, splats, settings, backend="cpu")
    assert not gsplat
    for backend in ("gsplat", "auto"):
        trained = training.train(views, splats, settings, backend=backend)  # type: ignore[arg-type]
        assert gsplat == ["gradient"] * 5
        gsplat.clear()
        np.testing.assert_allclose(trained.sh0, on_cpu.sh0, atol=2e-3)


def test_a_run_goes_on_with_another_backend(gsplat: list[str], tmp_path: Path) -> None:
    scene, path = random_splats(60, 1), tmp_path / "work.npz"
    plan = Distillation(20, checkpoint=path, backend="cpu")
    on_cpu = distillation.restore(scene, scene, plan, None, lambda *_: None)
    other = dataclasses.replace(plan, resume=True, backend="gsplat")
    assert (distillation.restore(scene, scene, other, None, lambda *_: None).sh0 == on_cpu.sh0).all()


@pytest.mark.parametrize("backend", ["gsplat", "auto", "cpu"])
def test_distillation_renders_both_scenes_with_it(gsplat: list[str], backend: str) -> None:
    scene = random_splats(60, 1)
    left = pruning.to_share(scene, 0.5).scene
    plan = Distillation(3, backend=backend)  # type: ignore[arg-type]
    restored = distillation.restore(left, scene, plan, None, lambda *_: None)
    assert gsplat == ([] if backend == "cpu" else ["image", "gradient"] * 3)
    assert len(restored) == 30


def test_the_commands_say_which_it_was(
    gsplat: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distill_views, "WIDTH", 96)
    scene = tmp_path / "scene.ply"
    table.write(random_splats(60, 1), scene)
    for arguments, wanted in (((), "gsplat"), (("--backend", "gsplat"), "gsplat"), (("--backend", "cpu"), "cpu")):
        for command in (
            ("compress", scene, "-o", tmp_path / "out.press", "--preset", "tiny", "--distill", 2),
            ("prune", scene, tmp_path / "out.ply", "--keep", 0.5, "--distill", 2),
        ):
            gsplat.clear()
            assert cli.main([str(word) for word in (*command, *arguments, "--json")]) == 0
            assert json.loads(capsys.readouterr().out)["distill_backend"] == wanted
            assert ("gradient" in gsplat) == (wanted == "gsplat")
    assert cli.main([str(word) for word in (*command, *arguments)]) == 0
    assert "2 steps, backend cpu" in capsys.readouterr().out


def test_a_device_that_fails_is_told_with_the_step(gsplat: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    splats = random_splats(60)
    views = photographs(splats)

    def fail(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nMany more lines.")

    monkeypatch.setattr(sys.modules["gsplat"], "rasterization", fail)
    with pytest.raises(TrainingError, match=r"^step 1: backend gsplat failed: CUDA out of memory\.$"):
        training.train(views, splats, TrainSettings(steps=2), backend="gsplat")
    with pytest.raises(TrainingError, match="step 1: backend gsplat"):
        distillation.restore(splats, splats, Distillation(2, backend="gsplat"), None, lambda *_: None)


def test_kernels_that_cannot_be_compiled_are_told(gsplat: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["gsplat.cuda._backend"], "_C", None)
    assert training_backend() == "cpu"
    with pytest.raises(ValueError, match=r"'gsplat' needs its kernels, or the CUDA toolkit"):
        training_backend("gsplat")
