"""The lossy codec: what is decoded is what was quantised, whatever the scene, the backend and the levels."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence

import backends
import numpy as np
import pytest
import splat_streams
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import cloud
from splat_floats import floats_of

from scenepress import cameras, container, metadata, scene_ops
from scenepress.codecs import decoder, encoder, placement, sensitivity, thinning
from scenepress.codecs import splats as codec
from scenepress.codecs.presets import PRESETS, Settings
from scenepress.errors import BitstreamError, LossWarning
from scenepress.scene import SH_COUNTS, Camera, Splats
from scenepress.stages import parameters, rotation, sh, table, tiles
from scenepress.stages.context import Tile
from scenepress.stages.parameters import Parameters

ARRAYS = ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN")
WHOLE = Settings(psnr=40.0, prune=0.0, name="test")
KEPT = dataclasses.replace(WHOLE, keep_order=True)


def views(scene: Splats) -> list[Camera]:
    """Few and small ones: the tests are about coding, not about what to code."""
    with np.errstate(all="ignore"):
        try:
            return cameras.synthesize(scene, 3, 48)
        except ValueError:  # Beyond what cameras can be placed around.
            return cameras.synthesize(cloud(5, 0), 3, 48)


def assert_same(a: Splats, b: Splats) -> None:
    for name in ARRAYS:
        left, right = getattr(a, name), getattr(b, name)
        assert left.shape == right.shape, name
        np.testing.assert_array_equal(left.view(np.uint32), right.view(np.uint32), err_msg=name)
    assert (a.antialiased, a.axes) == (b.antialiased, b.axes)


# --- what the encoder puts on its lattices ---


def parameters_of(data: bytes) -> Parameters:
    return parameters.decode(bytes(container.read(data).find(table.SPLAT_PARAMETERS).payload))


@dataclasses.dataclass
class Expected:
    """The encoder's lattice values, on their way to floats without any coding."""

    scene: Splats
    nearby: tuple[Splats, Splats]
    """The same with every predicted channel one step lower, and higher."""
    source: np.ndarray
    """Index in the source of every splat of `scene`."""
    steps: np.ndarray
    """[CHANNELS, N]."""
    sh_steps: np.ndarray
    position_steps: np.ndarray
    """The coarsest of every splat's three, in scene units."""


def expected(data: bytes, source: Splats, chosen: Settings, used: Sequence[Camera]) -> Expected:
    """Thin and quantise again, and join the tiles as decode() does; Expected.source is of what thinning left."""
    left, sens = thinning.thin(source, sensitivity.measure(source, used), chosen, used)
    scene = encoder.prepare(left, sens, chosen, sure=True)
    p = parameters_of(data)
    file = container.read(data).find(table.TILES)
    assert tiles.decode(bytes(file.payload), file.count) == scene.boxes
    parts: list[list[Splats]] = [[], [], []]
    order = []
    for box, placed in zip(scene.boxes, scene.placed, strict=True):
        rows = np.concatenate([level.rows for level in placed])
        order.append((rows, np.concatenate([level.exps.max(0, initial=0) for level in placed])))
        offsets = np.concatenate([level.offsets for level in placed])
        for part, shift in zip(parts, (0, -1, 1), strict=True):
            tile = Tile.empty(len(rows), len(scene.lattice.sh))
            tile.values[:] = scene.lattice.values[:, rows] + shift * scene.lattice.steps[:, rows]
            tile.classes[:], tile.extents[:] = scene.lattice.classes[rows], scene.lattice.extents[rows]
            tile.sh[:] = scene.lattice.sh[:, rows]
            part.append(floats_of(p, box, tile, offsets))
    rows = np.concatenate([r for r, _ in order]) if order else np.zeros(0, np.intp)
    coarsest = np.concatenate([e for _, e in order]) if order else np.zeros(0, np.int64)
    level_of = np.searchsorted(p.bounds, scene.lattice.classes[rows])
    by = np.argsort(scene.source[rows] if p.kept_order else level_of, kind="stable")
    whole, low, high = (joined(part, p).take(by) for part in parts)
    whole = dataclasses.replace(whole, antialiased=source.antialiased, axes=source.axes)
    rows, coarsest = rows[by], coarsest[by]
    return Expected(
        whole, (low, high), scene.source[rows], scene.lattice.steps[:, rows], scene.lattice.sh_steps[rows],
        2.0 ** (coarsest + p.exponent),
    )  # fmt: skip


def joined(parts: list[Splats], p: Parameters) -> Splats:
    """One scene of several, in their order."""
    if not parts:
        return decoder.empty_scene(0, p.sh_count)
    return Splats(*(np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS))


# --- scenes ---


def with_outliers(s: Splats) -> Splats:
    means = s.means.copy()
    means[::7] *= np.float32(1e6)
    means[1::31] = s.means[1::31] * np.float32(-1e9)
    return dataclasses.replace(s, means=means)


def scaled(s: Splats, factor: float) -> Splats:
    """Another unit of length."""
    sizes = s.log_scales + np.float32(np.log(factor))
    return dataclasses.replace(s, means=s.means * np.float32(factor), log_scales=sizes)


def with_scales(s: Splats, size: float) -> Splats:
    log_scales = s.log_scales.copy()
    log_scales[::2, 0], log_scales[1::2, 1] = scene_ops.MAX_LOG_SCALE, -size
    return dataclasses.replace(s, log_scales=log_scales)


def with_logits(s: Splats) -> Splats:
    logits = s.opacity_logits.copy()
    logits[::3], logits[1::3], logits[2::5] = np.inf, -np.inf, 100
    return dataclasses.replace(s, opacity_logits=logits)


def with_quats(s: Splats) -> Splats:
    quats = s.quats.copy()
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    quats[::4], quats[1::4] = quats[::4] * np.float32(0.9e12), quats[1::4] * np.float32(1.1e-12)
    return dataclasses.replace(s, quats=quats)


SCENES: dict[str, Callable[[Splats], Splats]] = {
    "as it is": lambda s: s,
    "each twice": lambda s: s.take(np.arange(2 * len(s)) // 2),
    "one place": lambda s: dataclasses.replace(s, means=np.full_like(s.means, 7.3)),
    "all equal": lambda s: s.take(np.zeros(len(s), np.intp)),
    "on a line": lambda s: dataclasses.replace(s, means=s.means * np.float32([1, 0, 0])),
    "extent 1e6": lambda s: scaled(s, 1e6),
    "extent 1e-6": lambda s: scaled(s, 1e-6),
    "small splats, extent 1e6": lambda s: dataclasses.replace(s, means=s.means * np.float32(1e6)),
    "large splats, extent 1e-6": lambda s: dataclasses.replace(s, means=s.means * np.float32(1e-6)),
    "extent 1e9": lambda s: dataclasses.replace(s, means=s.means * np.float32(1e9)),
    "far from the origin": lambda s: dataclasses.replace(s, means=s.means + np.float32([1e5, -1e5, 0])),
    "outliers": with_outliers,
    "scales of 25 and -80": lambda s: with_scales(s, 80),
    "scales of 25 and -1e4": lambda s: with_scales(s, 1e4),
    "infinite logits": with_logits,
    "unnormalised quaternions": with_quats,
    "strong colours": lambda s: dataclasses.replace(s, sh0=np.clip(s.sh0 * np.float32(1e5), -1e4, 1e4)),
    "strong SH": lambda s: dataclasses.replace(s, shN=np.clip(s.shN * np.float32(1e5), -1e4, 1e4)),
    "no SH but zeros": lambda s: dataclasses.replace(s, shN=s.shN * 0),
    "antialiased": lambda s: dataclasses.replace(s, antialiased=True, axes="RUB"),
}
LEVELLED = cloud(900, 1, 3)


@pytest.mark.parametrize("kind", SCENES)
@settings(deadline=None, max_examples=4)
@given(
    n=st.sampled_from([0, 1, 2, 3, 5, 9, 40, 130]),
    degree=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
    chosen=st.sampled_from([
        WHOLE, KEPT, dataclasses.replace(KEPT, tile_size=16), PRESETS["high"],
        dataclasses.replace(WHOLE, psnr=80.0), dataclasses.replace(WHOLE, psnr=10.0),
    ]),
)  # fmt: skip
@pytest.mark.filterwarnings("error", "ignore::scenepress.errors.LossWarning")
def test_decoded_is_what_was_quantised(kind: str, n: int, degree: int, seed: int, chosen: Settings) -> None:
    source = SCENES[kind](cloud(n, degree, seed))
    used = views(source)
    data = codec.encode(source, chosen, cameras=used)
    decoded = codec.decode(data)
    want = expected(data, source, chosen, used)
    assert_same(decoded, want.scene)
    assert metadata.of(container.read(data)).count == len(decoded)
    assert decoded.sh_degree == degree
    if chosen.keep_order:
        np.testing.assert_array_equal(want.source, np.arange(len(source)))
    elif not chosen.prune:
        assert sorted(want.source) == list(range(len(source)))


@pytest.mark.parametrize("psnr", [20.0, 40.0, 60.0])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_errors_are_bounded_by_the_steps(psnr: float, degree: int) -> None:
    source = cloud(500, degree, 7)
    chosen = dataclasses.replace(KEPT, psnr=psnr)
    used = views(source)
    data = codec.encode(source, chosen, cameras=used)
    decoded = codec.decode(data)
    want = expected(data, source, chosen, used)
    assert len(decoded) == len(source)

    quats, renamed = rotation.canonical(source.quats)
    log_scales = np.take_along_axis(source.log_scales, renamed, 1)
    low, high = want.nearby
    assert ((log_scales >= low.log_scales - 1e-5) & (log_scales <= high.log_scales + 1e-5)).all()
    logits = source.opacity_logits
    inside = np.abs(high.opacity_logits) < 9
    assert ((logits >= low.opacity_logits - 1e-4) & (logits <= high.opacity_logits + 1e-4))[inside].all()
    turned = np.abs(decoded.quats - quats)[:, 1:].T
    assert (turned <= 0.501 * want.steps[4:7] / rotation.UNIT + 1e-6).all()
    error = np.linalg.norm(decoded.sh0 - source.sh0, axis=1)
    # Half a step, and what the splat before handed on.
    assert (error <= 0.71 * np.sqrt(3) * want.steps[7] / 4096 + 1e-6).all()
    away = np.abs(decoded.means - source.means).max(1)
    assert (away <= 3 * want.position_steps + 1e-6).all()
    if degree:
        flat = (decoded.shN - source.shN).reshape(len(source), -1)
        error = np.linalg.norm(flat, axis=1)
        # A step's dead zone, and what the splat before handed on, in every column.
        assert (error <= 1.2 * np.sqrt(flat.shape[1]) * want.sh_steps / sh.UNIT).all()


@pytest.mark.parametrize("degree", [0, 3])
def test_an_unmeasured_scene_is_kept(degree: int) -> None:
    """Cameras that see nothing say nothing about what may be dropped."""
    source = cloud(1, degree)
    assert len(codec.decode(codec.encode(source, PRESETS["balanced"]))) == 1


def test_empty_scene() -> None:
    for degree in SH_COUNTS:
        for chosen in (PRESETS["balanced"], KEPT):
            decoded = codec.decode(codec.encode(cloud(0, degree), chosen))
            assert len(decoded) == 0
            assert decoded.sh_degree == degree


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name: str, value: float) -> None:
    array = getattr(cloud(5, 1), name).copy()
    array.reshape(-1)[3] = value
    scene = dataclasses.replace(cloud(5, 1), **{name: array})
    if name == "opacity_logits" and value == np.inf:
        assert len(codec.decode(codec.encode(scene, KEPT))) == 5
        return
    with pytest.raises(ValueError, match=name):
        codec.encode(scene, KEPT)


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("means", -2e9, "means too large: 2"),
        ("log_scales", 80, "log_scales too large: 2"),
        ("quats", 0, "quats no direction: 2"),
        ("sh0", 1e10, "sh0 too large: 2"),
        ("shN", -1e10, "shN too large: 2"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_no_renderer_can_draw_is_refused(name: str, value: float, cause: str) -> None:
    array = getattr(cloud(5, 1), name).copy()
    array[1:3] = value
    scene = dataclasses.replace(cloud(5, 1), **{name: array})
    with pytest.raises(ValueError, match=rf"2 of 5 .*{cause}.*scene_ops\.drop_invalid"):
        codec.encode(scene, KEPT)
    assert len(codec.decode(codec.encode(scene_ops.drop_invalid(scene), KEPT))) == 3


def test_encoding_does_not_touch_its_input() -> None:
    source = cloud(300, 3)
    before = {name: getattr(source, name).copy() for name in ARRAYS}
    for name in ARRAYS:
        getattr(source, name).setflags(write=False)
    used = views(source)
    cams = [c.world_to_camera.copy() for c in used]
    for chosen in (PRESETS["balanced"], KEPT):
        codec.encode(source, chosen, cameras=used)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(source, name), array)
    for camera, matrix in zip(used, cams, strict=True):
        np.testing.assert_array_equal(camera.world_to_camera, matrix)


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    codec.encode(cloud(50, 1), WHOLE, progress=lambda _what, done: told.append(done))
    assert told == sorted(told)
    assert told[-1] == 1.0


# --- tiles and levels ---


def encode_levelled(chosen: Settings) -> bytes:
    """Several tiles and levels, of few splats."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement, "LEVEL_LEAST", 100)
        return codec.encode(LEVELLED, chosen, cameras=views(LEVELLED))


@pytest.fixture(scope="module")
def levelled() -> bytes:
    return encode_levelled(dataclasses.replace(WHOLE, tile_size=250))


def test_many_small_tiles() -> None:
    source = cloud(1500, 2, 1)
    chosen = dataclasses.replace(WHOLE, tile_size=64)
    used = views(source)
    data = codec.encode(source, chosen, cameras=used)
    file = container.read(data)
    assert file.find(table.TILES).count >= 1500 / 64
    assert max(c.count for c in file.select(table.POSITION)) <= 64
    assert_same(codec.decode(data), expected(data, source, chosen, used).scene)


def test_first_levels_are_a_prefix(levelled: bytes) -> None:
    whole = codec.decode(levelled)
    assert len(whole) == len(LEVELLED)
    file = container.read(levelled)
    assert file.levels >= 2
    for levels in range(1, file.levels + 2):
        some = codec.decode(levelled, levels=levels)
        assert len(some) == sum(c.count for c in file.select(table.POSITION) if c.level < levels)
        assert_same(some, whole.take(np.arange(len(some))))
    with pytest.raises(ValueError, match="levels"):
        codec.decode(levelled, levels=0)


def test_first_levels_keep_the_order_of_the_source() -> None:
    data = encode_levelled(KEPT)
    whole, first = codec.decode(data), codec.decode(data, levels=1)
    assert 0 < len(first) < len(whole)
    rows = np.concatenate([whole.means.view(np.uint32), whole.quats.view(np.uint32)], 1)
    where = {row.tobytes(): i for i, row in enumerate(rows)}
    part = np.concatenate([first.means.view(np.uint32), first.quats.view(np.uint32)], 1)
    at = [where[row.tobytes()] for row in part]
    assert at == sorted(at)
    assert_same(first, whole.take(np.array(at)))


def test_truncated_files_decode_to_their_complete_levels(levelled: bytes) -> None:
    ends = [e.offset + e.length for e in container.read_index(levelled).entries]
    levels = container.read_index(levelled).levels
    entries = container.read_index(levelled).entries
    first_level = max(e.offset + e.length for e in entries if e.stage >= table.FIRST_LEVEL_STAGE and e.level == 0)
    by_level = {k: codec.decode(levelled, levels=k) for k in range(1, levels + 1)}
    shown = 0
    cuts = {cut for end in ends[-60::7] for cut in (end - 1, end)} | set(range(0, len(levelled) + 1, 997))
    for cut in sorted(cuts | {len(levelled)}):
        data = levelled[:cut]
        try:
            decoded = codec.decode(data, allow_truncated=True)
        except BitstreamError:
            assert cut < first_level  # Nothing can be shown yet.
            continue
        complete = container.read(data, allow_truncated=True).complete_levels
        assert complete
        assert_same(decoded, by_level[complete])
        assert_same(codec.decode(data, allow_truncated=True, levels=1), by_level[1])
        shown += 1
    assert shown > 5
    with pytest.raises(BitstreamError, match="cut short"):
        codec.decode(levelled[:-1])


OUTLIER_SCENE = cloud(3000, 1, 4)


@pytest.mark.parametrize("distance", [1e5, 1e7, 1e9])
@pytest.mark.parametrize("many", [1, 20])
def test_far_outliers_cost_the_others_nothing(distance: float, many: int) -> None:
    """Neither detail of their positions, nor bytes: they get tiles of their own."""
    means = OUTLIER_SCENE.means.copy()
    means[:many] = np.random.default_rng(many).uniform(-distance, distance, (many, 3))
    source = dataclasses.replace(OUTLIER_SCENE, means=means)
    used = views(OUTLIER_SCENE)
    others = OUTLIER_SCENE.take(np.arange(many, len(OUTLIER_SCENE)))
    alone = codec.encode(others, KEPT, cameras=used)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = codec.encode(source, KEPT, cameras=used)
    decoded, without = codec.decode(data), codec.decode(alone)
    error = np.linalg.norm(decoded.means - source.means, axis=1)[many:]
    usual = np.linalg.norm(without.means - others.means, axis=1)
    # Steps are powers of two: where a class's lies near one, a trifle of sensitivity doubles or halves it.
    assert np.quantile(error, 0.5) < 1.3 * np.quantile(usual, 0.5)
    assert error.max() < 1.5 * usual.max()
    assert np.abs(decoded.means - source.means)[:many].max() < 1e-6 * distance + 0.1
    assert len(data) < 1.03 * len(alone) + 700 * many


def test_positions_that_must_be_coarse_are_said() -> None:
    """Where a scene is too large for its detail, even for tiles of their own."""
    source = scaled(OUTLIER_SCENE, 1e-6)
    means = source.means.copy()
    means[0] = 1e9
    source = dataclasses.replace(source, means=means)
    with pytest.warns(LossWarning, match=r"splats are placed in steps of .* reaches 1e\+09 units"):
        data = codec.encode(source, KEPT, cameras=views(OUTLIER_SCENE))
    assert len(codec.decode(data)) == len(source)


# --- backends, threads, runs ---


@pytest.mark.parametrize("name", backends.NAMES)
@pytest.mark.parametrize(
    ("source", "chosen"),
    [
        (cloud(120, 3, 5), dataclasses.replace(KEPT, tile_size=50)),
        (SCENES["outliers"](cloud(90, 1, 6)), WHOLE),
        (SCENES["scales of 25 and -80"](cloud(60, 0, 8)), WHOLE),
    ],
    ids=["kept order", "outliers", "extreme scales"],
)
def test_backends_decode_alike(
    name: str, source: Splats, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = views(source)
    data = codec.encode(source, chosen, cameras=used)
    whole = codec.decode(data)
    backends.use(name, monkeypatch)
    assert_same(codec.decode(data), whole)
    again = codec.encode(source, chosen, cameras=used)  # Tables may differ, what they code may not.
    assert_same(codec.decode(again), whole)


def test_levels_decode_alike_on_the_reference(levelled: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = codec.decode(levelled)
    backends.use("reference", monkeypatch)
    assert_same(codec.decode(levelled), whole)


RUN = """
import sys, hashlib
sys.path.insert(0, sys.argv[1])
from scenes import cloud
from splat_floats import floats_of
from scenepress.codecs import splats as codec
from scenepress.codecs.presets import PRESETS
data = codec.encode(cloud(400, 2, 9), PRESETS["balanced"])
scene = codec.decode(data)
print(hashlib.sha256(data).hexdigest(), hashlib.sha256(b"".join(
    getattr(scene, name).tobytes() for name in {arrays})).hexdigest())
"""


def run(affinity: set[int] | None, **environment: str) -> list[str]:
    """Hashes of a file and of the scene decoded from it, by another process."""
    folder = os.path.dirname(__file__)
    command = [sys.executable, "-c", RUN.format(arrays=ARRAYS), folder]
    env = os.environ | {"PYTHONPATH": os.path.dirname(folder)} | environment
    limit = (lambda: os.sched_setaffinity(0, affinity)) if affinity else None
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, preexec_fn=limit)
    return done.stdout.split()


def test_other_processes_threads_and_backends_give_the_same() -> None:
    data = codec.encode(cloud(400, 2, 9), PRESETS["balanced"])
    scene = codec.decode(data)
    here = [
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(b"".join(getattr(scene, name).tobytes() for name in ARRAYS)).hexdigest(),
    ]
    one = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else None
    assert run(None, PYTHONHASHSEED="7") == here
    assert run(one, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1") == here
    assert run(None, SCENEPRESS_BACKEND="reference")[1] == here[1]


def test_encoding_is_deterministic() -> None:
    scene = cloud(2500, 1, 2)
    assert codec.encode(scene, PRESETS["small"]) == codec.encode(scene, PRESETS["small"])


# --- files that no encoder here writes ---


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1), sh_count=st.sampled_from([0, 3, 8, 15]), tile_count=st.integers(1, 3),
    most=st.sampled_from([1, 5, 30]), wild=st.booleans(), kept=st.booleans(),
)  # fmt: skip
def test_all_that_the_format_allows_is_decoded(
    seed: int, sh_count: int, tile_count: int, most: int, wild: bool, kept: bool
) -> None:
    made = splat_streams.stream(seed, sh_count, tile_count, most, wild, kept)
    assert_same(codec.decode(made.data), made.scene)
    with pytest.MonkeyPatch.context() as patch:
        backends.use("reference", patch)
        assert_same(codec.decode(made.data), made.scene)
