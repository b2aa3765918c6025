"""--target-mb, --target-psnr: met on scenes of several kinds, or refused by name."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from scenepress import api, cli, container, metadata
from scenepress.codecs import encoder, lattice, sensitivity, targets
from scenepress.codecs.presets import PRESETS
from scenepress.errors import LossWarning, TargetError
from scenepress.formats import table
from scenepress.scene import Splats
from tests.splat_scenes import random_splats, shared


def sample() -> Splats:
    return table.read(Path("data/samples/still_life.ply"))


@pytest.fixture(scope="module")
def scenes() -> dict[str, Splats]:
    return {"sample": sample(), "noise": random_splats(3000, 2, seed=3)}


def psnr_of(data: bytes) -> float:
    record = metadata.of(container.read(data)).quality
    assert record is not None
    return record.psnr


@pytest.mark.parametrize("name", ["sample", "noise"])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.6])
def test_sizes_are_met_and_never_exceeded(scenes: dict[str, Splats], name: str, share: float) -> None:
    usual = len(api.compress(scenes[name], measure=False))
    wanted = round(share * usual)
    data = api.compress(scenes[name], target_bytes=wanted)
    assert 0.99 * wanted - 32 <= len(data) <= wanted  # 32: the quality record may be shorter than reserved.
    assert len(api.decompress(data)) > 0


@pytest.mark.parametrize("wanted", [30.0, 41.5, 50.0])
def test_qualities_are_met(scenes: dict[str, Splats], wanted: float) -> None:
    data = api.compress(scenes["sample"], target_psnr=wanted)
    assert abs(psnr_of(data) - wanted) <= 0.1


@pytest.mark.parametrize("wanted", [70_000, 100_000, 160_000])
def test_trials_are_few(scenes: dict[str, Splats], wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    prepare = encoder.prepare
    monkeypatch.setattr(encoder, "prepare", lambda *a, **k: tried.append(0) or prepare(*a, **k))
    api.compress(scenes["sample"], target_bytes=wanted)
    assert len(tried) <= targets.TRIALS


def test_impossible_sizes_name_the_smallest(scenes: dict[str, Splats]) -> None:
    with pytest.raises(TargetError, match=r"its smallest file has [\d,]+") as caught:
        api.compress(scenes["sample"], target_bytes=200)
    smallest = int(str(caught.value).rsplit(" ", 1)[1].replace(",", ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(api.compress(scenes["sample"], target_bytes=smallest)) <= smallest


def test_impossible_qualities_name_the_best(scenes: dict[str, Splats]) -> None:
    with pytest.raises(TargetError, match=r"150 dB are out of reach, \d+\.\d are the most"):
        api.compress(scenes["noise"], target_psnr=150.0)


def test_more_bytes_than_needed_are_not_spent(scenes: dict[str, Splats]) -> None:
    with pytest.warns(LossWarning, match="needs no more than"):
        data = api.compress(scenes["noise"], target_bytes=10**7)
    assert len(data) < 10**6


def test_one_splat_and_none(scenes: dict[str, Splats]) -> None:
    one = scenes["sample"].take(np.array([7]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)
        assert len(api.decompress(api.compress(one, target_bytes=5000))) == 1
        assert len(api.decompress(api.compress(one, target_psnr=40.0))) == 1
    assert len(api.decompress(api.compress(one.take(np.array([], np.intp)), target_bytes=5000))) == 0


def test_order_is_kept(scenes: dict[str, Splats]) -> None:
    usual = len(api.compress(scenes["noise"], keep_order=True, measure=False))
    data = api.compress(scenes["noise"], keep_order=True, target_bytes=usual)
    assert len(data) <= usual
    assert len(api.decompress(data)) == len(scenes["noise"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_bytes": 0}, "at least 1"),
        ({"target_psnr": -3.0}, "between 0 and 200"),
        ({"target_psnr": float("nan")}, "between 0 and 200"),
        ({"target_bytes": 5, "target_psnr": 30.0}, "only one"),
        ({"target_bytes": 5, "preset": "lossless"}, "lossless"),
    ],
)
def test_nonsense_is_refused(scenes: dict[str, Splats], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        api.compress(scenes["noise"], **arguments)


def test_trimming_drops_the_least_and_changes_nothing_else(scenes: dict[str, Splats]) -> None:
    scene = scenes["sample"]
    sens = sensitivity.measure(scene, None)
    settings = dataclasses.replace(PRESETS["balanced"], prune=0.0)
    prepared = encoder.prepare(scene, sens, settings, sure=False)
    fewer = encoder.trim(prepared, 100)
    left = np.concatenate([p.rows for tile in fewer.placed for p in tile])
    assert len(left) == len(prepared.removal) - 100
    gone = np.setdiff1d(np.arange(len(prepared.removal)), left)
    assert prepared.removal[gone].max() <= prepared.removal[left].min()
    with pytest.raises(ValueError, match="keeps every splat"):
        encoder.trim(dataclasses.replace(prepared, keep_order=True), 1)


def test_mean_step_follows_what_is_wanted() -> None:
    sizes = np.array([900, 4000, 2500, 60])
    wanted = np.array([-7.0, -6.03, -5.11, -4.2])
    means = []
    for shift in np.linspace(0, 0.2, 41):
        codes = lattice.codes_of(wanted + shift, 2.0**-12, 1.0, sizes)
        assert np.abs(codes - 16 * (wanted + shift + 12)).max() <= 1.5 + 1e-9
        means.append(sizes @ codes / sizes.sum())
    exact = sizes @ (wanted + 12) / sizes.sum() * 16 + 16 * np.linspace(0, 0.2, 41)
    assert np.abs(means - exact).max() <= 0.5 * 900 / sizes.sum()


@pytest.mark.parametrize("wanted", [225_000, 1_200_000])
def test_trained_scenes_meet_sizes(wanted: int) -> None:
    scene = table.read(shared("trained/plush_150k_sh3.ply"))
    data = api.compress(scene, target_bytes=wanted, measure=False)
    assert 0.99 * wanted - 200 <= len(data) <= wanted


# The command line


SAMPLE = "data/samples/still_life.ply"


def test_the_command_meets_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.press"
    assert cli.main(["compress", SAMPLE, "-o", str(out), "--target-mb", "0.06", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["preset"] == "0.06 MB"
    assert told["bytes_out"] == out.stat().st_size
    assert 0.99 * 60_000 - 32 <= told["bytes_out"] <= 60_000


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--target-mb 0.0001", 1, "its smallest file has"),
        ("--target-psnr 199", 1, "out of reach"),
        ("--target-mb 0", 2, "must be above 0"),
        ("--target-psnr nan", 2, "must be above 0"),
        ("--target-mb big", 2, "is not a number"),
        ("--target-mb 1 --target-psnr 30", 2, "only one"),
        ("--target-mb 1 --preset lossless", 2, "takes the place of --preset lossless"),
    ],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int, message: str
) -> None:
    assert cli.main(["compress", SAMPLE, "-o", str(tmp_path / "out.press"), *arguments.split()]) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
