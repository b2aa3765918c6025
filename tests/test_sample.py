"""The sample scene is what its script makes, and small enough to live in the repository."""

from pathlib import Path

import numpy as np
import pytest

from data import make_sample


def read(path: Path) -> tuple[list[str], np.ndarray]:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float ")]
    return names, np.frombuffer(body, "<f4").reshape(-1, len(names))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.ply"
    make_sample.write(path, make_sample.properties(make_sample.model()))
    return path


def test_the_committed_sample_is_what_the_script_makes(made: Path) -> None:
    names, expected = read(make_sample.TARGET)
    again, values = read(made)
    assert again == names
    assert len(names) == 59
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)


def test_the_sample_is_small_and_has_something_for_every_stage(made: Path) -> None:
    assert make_sample.TARGET.stat().st_size <= 4_000_000
    names, values = read(made)
    column = dict(zip(names, values.T, strict=True))
    assert np.isfinite(values).all()
    opacity = 1 / (1 + np.exp(-column["opacity"]))
    assert (opacity < 0.02).mean() > 0.01, "nothing to prune"
    assert (opacity > 0.9).mean() > 0.5
    shN = values[:, [names.index(f"f_rest_{i}") for i in range(45)]]
    assert np.abs(shN).max() > 0.2, "colours do not depend on the view"
    assert len(np.unique(values, axis=0)) == len(values)
    assert np.percentile(column["scale_0"], 99) - np.percentile(column["scale_2"], 1) > 3, "splats all alike"


def test_coefficients_follow_the_shading() -> None:
    scene = make_sample.ball(make_sample.BALL, make_sample.BALL_RADIUS, 40, np.array([0.5, 0.1, 0.1]), 0.04)
    flip = np.ones(3)
    coefficients = make_sample.fit(scene, flip)
    eyes = make_sample.ball(np.zeros(3), 1.0, 200, np.ones(3), 0.0).normals
    fitted = 0.5 + np.einsum("dk,nkc->ndc", make_sample.harmonics(-eyes), coefficients)
    seen = scene.normals @ eyes.T > 0.3
    error = (fitted - make_sample.shade(scene, eyes))[seen]
    assert np.sqrt((error**2).mean()) < 0.05
