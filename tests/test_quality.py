"""Metrics against independent implementations, and what the comparison of scenes promises."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from scenepress import quality
from scenepress.render import rasterize
from scenepress.scene import Camera, Splats
from scenepress.scene_ops import convert_axes


def smooth_noise(seed: int, height: int, width: int) -> np.ndarray:
    """A random image with structure at every scale, float32 [H, W, 3] in [0, 1]."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for step in (1, 4, 16, 64):
        coarse = rng.random((height // step + 1, width // step + 1, 3))
        image += coarse.repeat(step, 0).repeat(step, 1)[:height, :width]
    return (image / 4).astype(np.float32)


def pair(noise: float, height: int = 200, width: int = 231) -> tuple[np.ndarray, np.ndarray]:
    a = smooth_noise(0, height, width)
    noisy = a + np.random.default_rng(1).normal(0, noise, a.shape)
    return a, np.clip(noisy, 0, 1).astype(np.float32)


@pytest.mark.parametrize("noise", [0.001, 0.5])
def test_psnr_and_ssim_agree_with_skimage(noise: float) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair(noise, 120, 131)
    expected = metrics.structural_similarity(
        *(image.astype(np.float64) for image in (a, b)),
        data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert quality.ssim(a, b) == pytest.approx(expected, abs=1e-9)
    expected = metrics.peak_signal_noise_ratio(a, b, data_range=1)
    assert quality.psnr(a, b) == pytest.approx(expected, abs=1e-4)


def dense_means(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """SSIM and contrast-structure means by plain two-dimensional correlation, term by term."""
    signal = pytest.importorskip("scipy.signal")
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    results = []
    for x, y in zip(
        a.transpose(2, 0, 1).astype(np.float64), b.transpose(2, 0, 1).astype(np.float64), strict=True
    ):
        mx, my, xx, yy, xy = (
            signal.correlate2d(v, window, "valid") for v in (x, y, x * x, y * y, x * y)
        )
        structure = (2 * (xy - mx * my) + 0.0009) / (xx - mx**2 + yy - my**2 + 0.0009)
        luminance = (2 * mx * my + 0.0001) / (mx**2 + my**2 + 0.0001)
        results.append(((luminance * structure).mean(), structure.mean()))
    whole, structure = np.mean(results, axis=0)
    return float(whole), float(structure)


def test_ms_ssim_is_the_papers_product() -> None:
    a, b = pair(0.1, 178, 187)
    result, product = quality.ms_ssim(a, b), 1.0
    for k, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        whole, structure = dense_means(a, b)
        product *= (whole if k == 4 else structure) ** weight
        even = tuple(size // 2 * 2 for size in a.shape[:2])
        a, b = (
            sum(v[: even[0], : even[1]][i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4 for v in (a, b)
        )
    assert result == pytest.approx(product, abs=1e-6)
    assert 0.5 < result < 0.99


def torchmetrics_means(a: object, b: object) -> tuple[float, float]:
    """SSIM and contrast-structure means of [1, 3, H, W] tensors, without the padded border."""
    functional = pytest.importorskip("torchmetrics.functional.image")
    measure = functional.structural_similarity_index_measure
    _, full = measure(a, b, data_range=1.0, return_full_image=True)
    _, structure = measure(a, b, data_range=1.0, return_contrast_sensitivity=True)
    return float(full[..., 5:-5, 5:-5].mean()), float(structure.mean())


def test_ssim_and_ms_ssim_agree_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    a, b = pair(0.1, 179, 186)
    scales = [torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64)) for image in (a, b)]
    assert quality.ssim(a, b) == pytest.approx(torchmetrics_means(*scales)[0], abs=1e-9)
    product = 1.0
    for k, weight in enumerate(quality.MS_SSIM_WEIGHTS):
        whole, structure = torchmetrics_means(*scales)
        product *= (whole if k == 4 else structure) ** weight
        scales = [torch.nn.functional.avg_pool2d(image, 2) for image in scales]
    assert quality.ms_ssim(a, b) == pytest.approx(product, abs=1e-7)


def test_flip_agrees_with_the_packages_own_mean() -> None:
    package = pytest.importorskip("flip_evaluator")
    a, b = pair(0.1)
    mean = package.evaluate(a.copy(), b.copy(), "LDR", applyMagma=False)[1]
    assert quality.flip(a, b) == pytest.approx(mean, abs=1e-6)
    assert 0 < quality.flip(a, b) < 1


def test_perceptual_metrics_rank_noise_and_know_equality() -> None:
    pytest.importorskip("flip_evaluator")
    pytest.importorskip("ssimulacra2")
    a, little = pair(0.02, 240, 232)
    _, much = pair(0.2, 240, 232)
    same, better, worse = (quality.measure(a, b) for b in (a, little, much))
    assert (same.mse, same.psnr, same.ssim, same.ms_ssim) == (0, math.inf, 1, 1)
    assert (same.flip, same.ssimulacra2) == (0, 100)
    assert same.flip < better.flip < worse.flip
    assert same.ssimulacra2 > better.ssimulacra2 > worse.ssimulacra2
    assert same.ssim > better.ssim > worse.ssim


def test_images_are_not_changed() -> None:
    a, b = pair(0.1, 240, 232)
    before = a.copy(), b.copy()
    quality.measure(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_small_images_have_no_metric_that_does_not_fit_them() -> None:
    a, b = pair(0.1, 100, 240)
    view = quality.measure(a, b)
    assert view.ms_ssim is None
    assert view.ssimulacra2 is None
    with pytest.raises(ValueError, match="176 pixels"):
        quality.ms_ssim(a, b)
    with pytest.raises(ValueError, match="11 pixels"):
        quality.ssim(a[:10], b[:10])


def test_images_of_two_sizes_are_refused() -> None:
    a, b = pair(0.1)
    with pytest.raises(ValueError, match="b must be float32"):
        quality.psnr(a, b[1:])
    with pytest.raises(ValueError, match="a must be float32"):
        quality.psnr(a.astype(np.float64), b)


def test_lpips_never_runs_without_its_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    a, b = pair(0.1, 64, 64)
    assert quality.lpips_weights() is None
    assert quality.measure(a, b).lpips is None
    pytest.importorskip("torch")
    with pytest.raises(FileNotFoundError, match="weights"):
        quality.lpips(a, b)


def test_a_comparison_averages_errors_before_decibels() -> None:
    view = quality.ViewQuality(name="", width=20, height=20, mse=1e-2, ssim=0.5, flip=0.25)
    comparison = quality.Comparison((view, dataclasses.replace(view, mse=1e-4, ssim=1.0, flip=0.75)))
    assert comparison.psnr == pytest.approx(-10 * math.log10(0.00505))
    assert comparison.mean_view_psnr == pytest.approx(30)
    assert comparison.ssim == 0.75
    assert comparison.flip == 0.5
    assert comparison.lpips is None


def blob(axes: str = "RDF") -> Splats:
    """A few splats in front of `camera()`."""
    rng = np.random.default_rng(3)
    return Splats(
        means=rng.normal(0, 0.5, (50, 3)).astype(np.float32),
        quats=rng.normal(0, 1, (50, 4)).astype(np.float32),
        log_scales=rng.normal(-2, 0.2, (50, 3)).astype(np.float32),
        opacity_logits=np.full(50, 2, np.float32),
        sh0=rng.normal(0, 1, (50, 3)).astype(np.float32),
        shN=np.zeros((50, 0, 3), np.float32),
        axes=axes,  # type: ignore[arg-type]
    )


def camera() -> Camera:
    world_to_camera = np.eye(4)
    world_to_camera[2, 3] = 4
    return Camera(world_to_camera, fx=100, fy=100, cx=48, cy=40, width=96, height=80, name="front")


def test_compare_renders_both_scenes() -> None:
    scene = blob()
    dimmed = dataclasses.replace(scene, opacity_logits=scene.opacity_logits - np.float32(0.5))
    seen, steps = [], []
    comparison = quality.compare(
        scene,
        dimmed,
        [camera()] * 2,
        background=(0, 0, 0),
        progress=lambda *step: steps.append(step),
        on_view=lambda *view: seen.append(view),
    )
    assert 15 < comparison.psnr < 50
    assert comparison.views[0].name == "front"
    assert comparison.views[0] == comparison.views[1]
    assert steps == [("rendering", 0.5), ("rendering", 1)]
    _, reference, test = seen[0]
    assert quality.psnr(reference, test) == comparison.views[0].psnr
    assert quality.compare(scene, scene, [camera()]).psnr == math.inf


def test_compare_over_black_and_white_unless_told_otherwise() -> None:
    """A black splat that is missing costs nothing over black, and leaves a hole over white."""
    black = dataclasses.replace(blob(), sh0=np.full_like(blob().sh0, -1.8), shN=np.zeros_like(blob().shN))
    fainter = dataclasses.replace(black, opacity_logits=black.opacity_logits - np.float32(2))
    over = {
        rear: quality.compare(black, fainter, [camera()], background=rear) for rear in quality.BLACK_AND_WHITE
    }
    errors = [comparison.views[0].mse for comparison in over.values()]
    assert errors[0] < 1e-6 < 1e-3 < errors[1]
    both = quality.compare(black, fainter, [camera()])
    assert both.views[0].mse == pytest.approx(np.mean(errors), rel=1e-6)
    assert both.ssim == pytest.approx(np.mean([comparison.ssim for comparison in over.values()]))
    # The composite is what the rasteriser draws over that background.
    drawn = [rasterize(scene, camera(), background=(1, 1, 1)).color for scene in (black, fainter)]
    assert quality.mse(*(np.clip(image, 0, 1) for image in drawn)) == pytest.approx(errors[1], rel=1e-5)


def test_compare_brings_both_scenes_to_one_coordinate_system() -> None:
    scene = blob()
    turned = convert_axes(scene, "RUB")
    assert not np.array_equal(turned.means, scene.means)
    assert quality.compare(scene, turned, [camera()]).psnr > 100


def test_compare_refuses_to_judge_without_cameras() -> None:
    with pytest.raises(ValueError, match="at least one camera"):
        quality.compare(blob(), blob(), [])
