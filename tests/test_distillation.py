"""Distillation: it pays, repeats itself, goes on where it stopped, and names the faults of its input."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from scenepress import api, cli, container, distill_views, distillation, pruning, quality, scene_ops
from scenepress.cameras import synthesize
from scenepress.codecs import encoder, rates, reconstruction, sensitivity, splats
from scenepress.codecs.presets import PRESETS, Settings
from scenepress.distill_codec import Lossy, Whole
from scenepress.distillation import Distillation
from scenepress.errors import FormatError, LossWarning, TrainingError
from scenepress.formats import table
from scenepress.learned import distill as loop
from scenepress.learned.distill import DistillSettings, Example
from scenepress.learned.train import View
from scenepress.quality import to_8bit
from scenepress.render import rasterize, training_backend
from scenepress.scene import Splats
from scenepress.stages import parameters, rotation
from scenepress.stages import table as table_of_stages
from tests.scenes import cloud
from tests.splat_scenes import assert_same_bits, random_splats

LOW = dataclasses.replace(PRESETS["small"], name="")


def rows_of(scene: Splats) -> Splats:
    """In an order that depends on the values alone."""
    return scene.take(np.lexsort((*scene.means.T, scene.opacity_logits)))


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures teach small scenes."""
    monkeypatch.setattr(distill_views, "SURROUND", 6)
    monkeypatch.setattr(distill_views, "ORBIT", 6)
    monkeypatch.setattr(distill_views, "WIDTH", 96)


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("settings", [LOW, dataclasses.replace(LOW, keep_order=True, psnr=50.0)])
def test_reconstruction_is_what_is_decoded(degree: int, settings: Settings) -> None:
    scene = random_splats(3000, degree, seed=degree)
    prepared = encoder.prepare(scene, sensitivity.measure(scene, None), settings, sure=False)
    source, found = reconstruction.reconstruct(prepared)
    data = splats._file(scene, encoder.code(prepared, lambda *_: None), settings, None)
    assert_same_bits(rows_of(found), rows_of(splats.decode(data)))
    assert len(np.unique(source)) == len(source)
    assert np.abs(scene.means[source] - found.means).max() < 1


def test_nothing_is_reconstructed_of_nothing() -> None:
    scene = random_splats(0, 3)
    prepared = encoder.prepare(scene, sensitivity.measure(scene, None), LOW, sure=False)
    source, found = reconstruction.reconstruct(prepared)
    assert len(source) == len(found) == 0
    assert found.sh_degree == 3
    assert {len(slope) for slope in rates.slopes(prepared, scene).values()} == {0}


def test_lattices_that_are_kept_stay_where_they_are() -> None:
    scene, settings = cloud(4000), dataclasses.replace(LOW, prune=0.0)
    sens = sensitivity.measure(scene, None)
    means = scene.means.copy()
    means[means[:, 0].argmin()] -= np.float32([0.37, 0.2, 0.1])  # The rim moves, and the box with it.
    paler = scene.sh0 * np.linspace(0.9, 1, 4000, dtype=np.float32)[:, None]
    moved = dataclasses.replace(scene, means=means, sh0=paler)

    def decoded(prepared: encoder.Prepared) -> Splats:
        rows, out = reconstruction.reconstruct(prepared)
        return out.take(np.argsort(rows))

    first = encoder.prepare(scene, sens, settings, sure=True)
    like = parameters.decode(parameters.encode(encoder.lattices_of(first)))
    before = decoded(first)
    kept, anew = (decoded(encoder.prepare(moved, sens, settings, sure=True, like=x)) for x in (like, None))
    for name in ("means", "quats", "log_scales", "opacity_logits", "shN"):
        other = (getattr(kept, name) != getattr(before, name)).reshape(4000, -1).any(axis=1)
        assert other.sum() < 20, name  # Errors are diffused along a path that the rim changes a little.
    assert (anew.sh0 != kept.sh0).any(axis=1).sum() > 1000
    with pytest.raises(ValueError, match="levels"):
        encoder.prepare(scene.take(np.arange(50)), sens.take(np.arange(50)), settings, sure=True, like=like)


@pytest.mark.parametrize("wanted", [None, 4000])
def test_the_file_has_the_lattices_that_were_trained_for(tmp_path: Path, wanted: int | None) -> None:
    scene, path = cloud(1000, 1), tmp_path / "work.npz"
    found = distillation.distill(scene, Distillation(60, checkpoint=path), LOW, None, wanted, lambda *_: None)
    with np.load(path) as file:
        trained_for = parameters.decode(file["memory lattices"].astype(np.uint8).tobytes())
    data = splats.encode(
        found.scene, found.settings, sensitivities=found.sensitivities, like=found.lattices
    )
    written = parameters.decode(bytes(container.read(data).find(table_of_stages.SPLAT_PARAMETERS).payload))
    for mine, other in ((written, trained_for), (written.steps, trained_for.steps)):
        for field in dataclasses.fields(mine):
            if field.name not in ("steps", "predictors", "tables", "learned", "sh_weights"):
                assert np.array_equal(getattr(mine, field.name), getattr(other, field.name)), field.name
    if wanted is not None:
        assert abs(len(data) - wanted) < 0.02 * wanted + 200


STAGES = {"log_scales": 0x13, "opacity_logits": 0x12, "quats": 0x14, "sh0": 0x15, "shN": 0x16}


@pytest.mark.parametrize("name", STAGES)
def test_down_the_slopes_files_become_smaller(name: str) -> None:
    scene = cloud(4000)
    scene = dataclasses.replace(scene, opacity_logits=scene.opacity_logits - 3)  # Nearly straight there.
    quats, renamed = rotation.canonical(scene.quats)
    scene = dataclasses.replace(
        scene, quats=quats.astype(np.float32), log_scales=np.take_along_axis(scene.log_scales, renamed, 1)
    )
    settings = dataclasses.replace(LOW, prune=0.0, keep_order=True, psnr=48.0)
    sens = sensitivity.measure(scene, None)

    def bytes_of(some: Splats) -> int:
        prepared = encoder.prepare(some, sens, settings, sure=True)
        chunks = encoder.code(prepared, lambda *_: None)
        return sum(len(chunk.payload) for chunk in chunks if chunk.stage == STAGES[name])

    prepared = encoder.prepare(scene, sens, settings, sure=True)
    slope = np.empty_like(getattr(scene, name))
    slope[prepared.source] = rates.slopes(prepared, scene.take(prepared.source))[name]
    assert np.isfinite(slope).all()
    source, decoded = reconstruction.reconstruct(prepared)
    back = np.empty(len(scene), np.intp)
    back[source] = np.arange(len(scene))
    off = np.abs(getattr(decoded.take(back), name) - getattr(scene, name)).reshape(len(scene), -1).mean(axis=1)
    classes = np.empty(len(scene), np.intp)
    classes[prepared.source] = prepared.lattice.classes
    noise = (np.bincount(classes, off) / np.maximum(np.bincount(classes), 1))[classes]  # A share of a step.
    moved = getattr(scene, name) - slope * (8 * noise**2).reshape(-1, *[1] * (slope.ndim - 1))
    less = bytes_of(dataclasses.replace(scene, **{name: moved.astype(np.float32)}))
    more = bytes_of(dataclasses.replace(scene, **{name: (2 * getattr(scene, name) - moved).astype(np.float32)}))
    usual = bytes_of(scene)
    assert less < 0.995 * usual
    assert more > 1.005 * usual


def test_distillation_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distill_views, "WIDTH", 192)
    scene = table.read(Path("data/samples/still_life.ply"))
    wanted = 2 * len(scene)
    plain = api.compress(scene, target_bytes=wanted, measure=False)
    told: list[float] = []
    data = api.compress(
        scene, target_bytes=wanted, distill=Distillation(60), measure=False, progress=lambda _, x: told.append(x)
    )
    assert 0.99 * wanted - 400 <= len(data) <= wanted
    assert told == sorted(told)
    before = api.measure_quality(scene, api.decompress(plain), None).psnr
    after = api.measure_quality(scene, api.decompress(data), None).psnr
    assert after > before + 1


def trained(scene: Splats, plan: Distillation, progress: distillation.Progress = lambda *_: None) -> Splats:
    return distillation.distill(scene, plan, LOW, None, None, progress).scene


def test_splats_that_nearly_coincide_become_one() -> None:
    scene = random_splats(600, 1, seed=5)
    halves = dataclasses.replace(scene, opacity_logits=scene.opacity_logits - np.float32(4))
    both = Splats(**{
        name: np.concatenate([getattr(halves, name)] * 2)
        for name in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
    })  # fmt: skip
    found = Lossy(dataclasses.replace(LOW, psnr=40.0), None, 3.0, None).fewer(both, 1.0, {})
    assert found.changed.any()
    assert found.stays.sum() == len(found.scene) == len(found.changed) == len(found.memory["removal"])
    same = both.take(found.stays).take(~found.changed)
    assert_same_bits(found.scene.take(~found.changed), same)
    left_out = pruning.to_share(both, len(found.scene) / len(both), merge=False).scene
    views = synthesize(both, 4, 120)
    merged, less = (quality.compare(both, some, views, perceptual=False).psnr for some in (found.scene, left_out))
    assert len(left_out) == len(found.scene)
    assert merged > less + 1.5


def test_the_same_seed_gives_the_same_scene_and_another_another() -> None:
    scene = cloud(300, 1)
    first, again, other = (trained(scene, Distillation(30, seed=seed)) for seed in (0, 0, 1))
    assert_same_bits(first, again)
    assert len(other) != len(first) or (other.sh0 != first.sh0).any()


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("stop", [25, 31, 55])
def test_an_interrupted_run_goes_on_to_the_same_scene(tmp_path: Path, stop: int) -> None:
    scene, path = cloud(300, 2), tmp_path / "work.npz"
    plan = Distillation(60, checkpoint=path, checkpoint_every=20)
    whole = trained(scene, dataclasses.replace(plan, checkpoint=None))

    def pull(what: str, done: float) -> None:
        if what.startswith("distilling") and done >= 0.999 * stop / 60:
            raise Stopped

    with pytest.raises(Stopped):
        trained(scene, plan, pull)
    assert path.exists()
    assert_same_bits(whole, trained(scene, dataclasses.replace(plan, resume=True)))


def test_checkpoints_of_other_runs_are_refused(tmp_path: Path) -> None:
    scene, path = cloud(200, 1), tmp_path / "work.npz"
    plan = Distillation(20, checkpoint=path, checkpoint_every=20)
    api.compress(scene, "small", distill=plan, measure=False)
    again = dataclasses.replace(plan, resume=True)
    moved = dataclasses.replace(scene, means=scene.means + np.float32(0.1))
    for other, preset, changed in (
        (moved, "small", again),
        (scene, "tiny", again),
        (scene, "small", dataclasses.replace(again, seed=1)),
        (scene, "small", dataclasses.replace(again, steps=30)),
    ):
        with pytest.raises(FormatError, match="other"):
            api.compress(other, preset, distill=changed, measure=False)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="damaged"):
        api.compress(scene, "small", distill=again, measure=False)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("step", np.array(-5)),
        ("step", np.array(10**9)),
        ("memory psnr", np.array(1e300)),
        ("memory psnr", np.array([40.0, 40.0])),
        ("memory removal", np.zeros(3)),
        ("memory removal", None),
        ("memory lattices", np.full(40, 255.0)),
        ("memory lattices", np.full(40, 0.5)),
        ("memory lattices", np.zeros((2, 2))),
        ("more", np.zeros(10**6)),
    ],
)
def test_forged_checkpoints_are_refused(tmp_path: Path, name: str, wrong: np.ndarray | None) -> None:
    scene, path = cloud(100, 0), tmp_path / "work.npz"
    plan = Distillation(20, checkpoint=path)
    api.compress(scene, "small", distill=plan, measure=False)
    with np.load(path) as file:
        arrays = dict(file)
    arrays.pop(name, None)
    if wrong is not None:
        arrays[name] = wrong
    np.savez(path, **arrays)
    with pytest.raises(FormatError, match=r"work\.npz"):
        api.compress(scene, "small", distill=dataclasses.replace(plan, resume=True), measure=False)


def test_opaque_and_invisible_splats() -> None:
    scene = cloud(200, 0)
    logits = scene.opacity_logits.copy()
    logits[::3], logits[1::3] = np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        data = api.compress(dataclasses.replace(scene, opacity_logits=logits), distill=Distillation(30))
    assert len(api.decompress(data))


def test_where_it_does_not_pay_the_plain_file_is_written() -> None:
    scene = cloud(1000, 1)
    with pytest.warns(LossWarning, match="did not pay"):
        data = api.compress(scene, "high", distill=Distillation(4), measure=False)
    assert data == api.compress(scene, "high", learned=True, measure=False)
    with pytest.warns(LossWarning, match="did not pay"):
        data = api.compress(scene, target_psnr=48.0, distill=Distillation(4))
    assert abs(api.measure_quality(scene, api.decompress(data), None).psnr - 48) <= 0.2


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ({"target_psnr": 48.0}, ["file 2", "distillation"]),
        ({"target_bytes": 20_000}, ["file 3", "distillation"]),
    ],
)
def test_for_comparison_nothing_is_done_twice(
    monkeypatch: pytest.MonkeyPatch, goal: dict[str, float], told: list[str]
) -> None:
    scene = cloud(1000, 1)
    stage, measured, files = "", [], 0
    measure = sensitivity.measure

    def progress(what: str, _done: float) -> None:
        nonlocal stage
        stage = what

    def count(*arguments: object) -> object:
        measured.append(stage)
        return measure(*arguments)  # type: ignore[arg-type]

    def telling(name: str) -> None:
        encode = getattr(splats, name)

        def tell(*arguments: object, **options: object) -> bytes:
            nonlocal files
            files += 1
            warnings.warn(f"file {files}", LossWarning, stacklevel=2)
            return encode(*arguments, **options)  # type: ignore[no-any-return]

        monkeypatch.setattr(splats, name, tell)

    monkeypatch.setattr(sensitivity, "measure", count)
    telling("encode_to_quality")
    telling("encode_to_size")
    with pytest.warns(LossWarning) as found:
        api.compress(scene, distill=Distillation(4), progress=progress, **goal)  # type: ignore[arg-type]
    assert measured.count("comparing") == 1
    assert [str(w.message)[: len(t)] for w, t in zip(found, told, strict=True)] == told


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_very_small_scenes(count: int) -> None:
    data = api.compress(cloud(count), "small", distill=Distillation(5))
    assert len(api.decompress(data)) == count


def test_the_order_can_be_kept() -> None:
    scene = cloud(200, 1)
    decoded = api.decompress(api.compress(scene, "small", keep_order=True, distill=Distillation(20)))
    assert len(decoded) == len(scene)
    assert np.abs(decoded.means - scene.means).max() < 0.2


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_the_unit_of_length_does_not_matter(size: float) -> None:
    scene = cloud(300, 1)
    scaled = scene_ops.enlarge(scene, size)
    decoded = api.decompress(api.compress(scaled, "balanced", distill=Distillation(20), measure=False))
    assert api.measure_quality(scaled, decoded, None).psnr > 30
    assert decoded.axes == scene.axes


def test_axes_and_filter_stay() -> None:
    scene = dataclasses.replace(cloud(200, 1), axes="RUB", antialiased=True)
    decoded = api.decompress(api.compress(scene, "small", distill=Distillation(10)))
    assert (decoded.axes, decoded.antialiased) == ("RUB", True)


def photographs_of(scene: Splats) -> list[View]:
    return [
        View(camera, to_8bit(rasterize(scene, camera, background=(1.0, 1.0, 1.0)).color))
        for camera in synthesize(scene, 8, 96)
    ]


def test_photographs_teach_what_the_scene_does_not_know() -> None:
    scene = cloud(300, 0)
    views = photographs_of(dataclasses.replace(scene, sh0=scene.sh0 + np.float32(0.4)))
    plan = Distillation(60, photographs=views, background=(1.0, 1.0, 1.0))
    cameras = [view.camera for view in views]

    def error(decoded: Splats) -> float:
        shown = [rasterize(decoded, view.camera, background=(1.0, 1.0, 1.0)).color for view in views]
        return float(np.mean([(image - v.image / 255) ** 2 for image, v in zip(shown, views, strict=True)]))

    plain = api.decompress(api.compress(scene, "balanced", cameras=cameras, measure=False))
    taught = api.decompress(api.compress(scene, "balanced", cameras=cameras, distill=plan, measure=False))
    assert error(taught) < 0.5 * error(plain)


def examples(scene: Splats, change: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> Callable[[int], Example]:
    views = synthesize(scene, 4, 64)

    def example(step: int) -> Example:
        view = views[step % len(views)]
        return Example(view, (0.0, 0.0, 0.0), change(rasterize(scene, view).color))

    return example


def test_what_pruning_leaves_can_be_restored() -> None:
    scene = cloud(600, 1)
    pruned = pruning.to_share(scene, 0.5)
    restored = distillation.restore(pruned.scene, scene, Distillation(60), None, lambda *_: None)
    assert len(restored) == len(pruned.scene) == 300
    assert pruning.judge(scene, restored).psnr > pruned.psnr + 1


def test_a_perfect_scene_stays_as_it_is() -> None:
    scene = dataclasses.replace(cloud(100, 1), opacity_logits=np.full(100, 1, np.float32))
    done = loop.distill(scene, examples(scene), Whole(), 1.0, DistillSettings(steps=8))
    assert done.step == 8
    np.testing.assert_allclose(done.values["sh0"], scene.sh0, atol=1e-6)


def test_numbers_that_are_not_finite_are_told_with_their_step() -> None:
    scene = cloud(100, 1)
    bad = examples(scene, lambda image: np.where(image > 0.5, np.nan, image).astype(np.float32))
    with pytest.raises(TrainingError, match=r"step 1: .*not finite"):
        loop.distill(scene, bad, Whole(), 1.0, DistillSettings(steps=3))


def test_impossible_plans_are_refused() -> None:
    for wrong in (
        {"steps": 0}, {"steps": 5, "seed": -1}, {"steps": 5, "resume": True}, {"steps": 5, "photographs": []},
        {"steps": 5, "checkpoint_every": 0},
        {"steps": 5, "photographs": [View(synthesize(cloud(9), 1, 96)[0], np.zeros((5, 5, 3), np.uint8))]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be|only|no photographs|a camera of"):
            Distillation(**wrong)  # type: ignore[arg-type]
    for name, value in {"steps": 0, "rounds": 0, "prune_until": 2.0, "rate_end": 0.0}.items():
        with pytest.raises(ValueError, match="must be"):
            DistillSettings(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lossless"):
        api.compress(cloud(10), "lossless", distill=Distillation(5))


def run(*words: str | Path) -> int:
    return cli.main([str(word) for word in words])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)
        table.write(cloud(300, 1), tmp_path / "scene.ply")
    return tmp_path / "scene.ply"


def test_the_command_says_if_it_did_not_pay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write(cloud(1000, 1), tmp_path / "scene.ply")
    output = tmp_path / "out.press"
    command = ("compress", tmp_path / "scene.ply", "-o", output, "--preset", "high", "--distill", "4")
    assert run(*command, "--json") == 0
    said = capsys.readouterr()
    assert "did not pay" in said.err
    assert json.loads(said.out)["distilled"] is False
    assert run(*command) == 0
    assert "no, 4 steps, backend" in capsys.readouterr().out


def test_command(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, checkpoint = source.with_name("out.press"), source.with_name("work.npz")
    assert run("compress", source, "-o", output, "--distill", "20", "--checkpoint", checkpoint, "--json") == 0
    assert checkpoint.exists(), "written after the last step, whatever the steps between"
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["distill_steps"] == 20
    assert told["distilled"] == ("did not pay" not in said.err)
    assert told["distill_backend"] == training_backend()
    assert told["psnr"] > 20
    assert output.exists()


def write_data(folder: Path) -> Path:
    """transforms.json and photographs of the cloud."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for k, view in enumerate(photographs_of(cloud(300, 1))):
        PIL.Image.fromarray(view.image).save(folder / f"images/{k}.png")
        pose = np.linalg.inv(view.camera.world_to_camera) @ np.diag([1, -1, -1, 1])
        frames.append({"file_path": f"images/{k}.png", "transform_matrix": pose.tolist()})
    c = view.camera
    shape = {"w": c.width, "h": c.height, "fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy}
    (folder / "transforms.json").write_text(json.dumps({**shape, "frames": frames}))
    return folder


def test_command_with_photographs(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(source.parent / "data")
    words = ("compress", source, "-o", source.with_name("out.press"), "--distill", "10", "--background", "white")
    assert run(*words, "--cameras", data / "transforms.json", "--images", data / "images") == 0
    capsys.readouterr()
    PIL.Image.new("RGB", (50, 50)).save(data / "images/3.png")
    assert run(*words, "--cameras", data / "transforms.json", "--images", data / "images") == 1
    assert "3.png" in capsys.readouterr().err
    (data / "images/3.png").unlink()
    assert run(*words, "--cameras", data / "transforms.json", "--images", data / "images") == 1
    assert "no image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--distill", "0"), "--distill 0"),
        (("--distill", "many"), "many"),
        (("--seed", "3"), "--distill"),
        (("--backend", "cpu"), "--distill"),
        (("--resume",), "--distill"),
        (("--checkpoint", "a.npz"), "--distill"),
        (("--images", "."), "--distill"),
        (("--distill", "5", "--images", "."), "--cameras"),
        (("--distill", "5", "--resume"), "--checkpoint"),
        (("--distill", "5", "--seed", "-1"), "--seed"),
        (("--distill", "5", "--checkpoint", "a.txt"), ".npz"),
        (("--distill", "5", "--preset", "lossless"), "lossless"),
    ],
)
def test_wrong_use_is_told(
    source: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = source.with_name("out.press")
    assert run("compress", source, "-o", output, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not output.exists()


def test_another_file_is_not_replaced_by_a_checkpoint(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = source.with_name("mine.npz")
    np.savez(mine, data=np.arange(3))
    words = ("--distill", "5", "--checkpoint", mine)
    assert run("compress", source, "-o", source.with_name("out.press"), *words) == 2
    assert "mine.npz" in capsys.readouterr().err


def test_photographs_are_made_smaller_and_never_larger(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scenepress import distill_options

    data = write_data(source.parent / "data")
    command = cli.Compress(source, source, cameras=data / "transforms.json", images=data / "images", distill=5)
    plan = distill_options.plan_of(command, cloud(3))
    assert plan is not None
    assert plan.photographs is not None
    assert {view.image.shape for view in plan.photographs} == {(72, 96, 3)}
    monkeypatch.setattr(distill_views, "PIXELS", 2000)
    plan = distill_options.plan_of(command, cloud(3))
    assert plan is not None
    assert plan.photographs is not None
    assert all(view.image[..., 0].size <= 2000 for view in plan.photographs)


def test_a_checkpoint_that_is_not_there_is_told(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = source.with_name("none.npz")
    words = ("--distill", "5", "--checkpoint", missing, "--resume")
    assert run("compress", source, "-o", source.with_name("out.press"), *words) == 1
    assert "none.npz" in capsys.readouterr().err


def test_sizes_that_training_cannot_aim_for_are_left_to_the_encoder() -> None:
    scene = cloud(1000, 1)
    with pytest.warns(LossWarning, match="did not pay"):
        data = api.compress(scene, target_bytes=1500, distill=Distillation(4))
    assert len(data) <= 1500


@pytest.mark.parametrize("what", [NotImplementedError, RuntimeError])
def test_features_of_zip_files_that_python_lacks_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: type[Exception]
) -> None:
    scene, path = cloud(100, 0), tmp_path / "work.npz"
    plan = Distillation(20, checkpoint=path)
    api.compress(scene, "small", distill=plan, measure=False)

    def refuse(*_: object, **__: object) -> None:
        raise what("compression method")

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(FormatError, match=r"work\.npz"):
        api.compress(scene, "small", distill=dataclasses.replace(plan, resume=True), measure=False)
