"""The command line: exit codes, one-line errors, JSON that is only JSON, and start-up time."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scenes import cloud

from scenepress import api, checks, cli, container, metadata, usage
from scenepress.codecs import presets
from scenepress.formats import table
from scenepress.scene import Splats

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "PIL", "scipy", "skimage", "numpy", "gsplat", "scenepress.commands"}


def run(*arguments: object) -> int:
    """The exit code of one command in this process."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 99


def started(command: list[str], cwd: Path, **options: object) -> subprocess.Popen[str]:
    """A process that interrupts reach, as from a terminal: what runs in the background of a shell ignores them."""
    usual = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipe = subprocess.PIPE
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        command, cwd=cwd, stdout=pipe, stderr=pipe, text=True, preexec_fn=usual, **options
    )


def spawn(*arguments: object, **options: object) -> subprocess.Popen[str]:
    return started([sys.executable, "-m", "scenepress", *map(str, arguments)], ROOT, **options)


@pytest.fixture(scope="module")
def scene() -> Splats:
    return cloud()


@pytest.fixture(scope="module")
def ply(scene: Splats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "cloud.ply"
    table.write(scene, path)
    return path


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transforms.json with two views of the scene."""
    path = tmp_path_factory.mktemp("cameras") / "transforms.json"
    frames = []
    for name, distance in (("first", 3.0), ("second", 3.5)):
        pose = np.diag([1.0, -1.0, -1.0, 1.0])  # Camera axes right, up, back, as this format has them.
        pose[:3, 3] = 0, 0, -distance
        frames.append({"file_path": f"images/{name}.png", "transform_matrix": pose.tolist()})
    intrinsics = {"fl_x": 100.0, "fl_y": 100.0, "cx": 50.0, "cy": 40.0, "w": 100, "h": 80}
    path.write_text(json.dumps({**intrinsics, "frames": frames}))
    return path


@pytest.fixture(scope="module")
def press(ply: Path) -> Path:
    path = ply.with_suffix(".press")
    assert run("compress", ply, "-o", path) == 0
    return path


def assert_one_error_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("scenepress: error: ")
    for word in words:
        assert word in lines[0]


# Start-up


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom scenepress.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "compress" in done.stdout


@pytest.mark.parametrize(
    "command", ["compress", "decompress", "convert", "inspect", "compare", "render", "train"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert f"scenepress {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == "scenepress 0.1.0\n"


def test_presets_are_those_of_the_codec() -> None:
    assert set(get_args(cli.Preset)) == {"lossless", *presets.PRESETS}
    assert get_args(cli.Preset) == get_args(api.Preset)
    assert cli.Compress(Path("a"), Path("b")).preset == "balanced"


# Usage errors


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "explode in.ply",
        "compress in.ply",
        "compress -o out.press",
        "compress in.ply -o out.press --preset best",
        "compress in.ply -o out.press --no-such-option",
        "compress in.ply -o in.ply",
        "compress in.ply -o out.press --report out.json",
        "decompress in.press -o out.ply --levels two",
        "decompress in.press -o out.ply --levels 0",
        "decompress in.press -o out.xyz",
        "convert in.ply out.press",
        "convert in.ply",
        "compare a.ply",
        "compare a.ply b.ply --views 0",
        "compare a.ply b.ply --size 100000",
        "compare a.ply b.ply --views many",
        "compare good.ply good.ply --size 8",
        "render in.ply -o out.tiff",
        "inspect a.ply b.ply",
    ],
)
def test_bad_usage_exits_with_2(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table.write(cloud(10), "good.ply")
    assert run(*arguments.split()) == 2
    assert_one_error_line(capsys)
    assert list(tmp_path.iterdir()) == [tmp_path / "good.ply"]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", ["compress, prune, decompress", "see scenepress --help"]),
        ("explode in.ply", ["explode", "compress, prune, decompress", "see scenepress --help"]),
        ("compress in.ply", ["missing --output", "see scenepress compress --help"]),
        ("compress -o out.press", ["missing IN", "see scenepress compress --help"]),
        ("convert", ["missing IN, OUT", "see scenepress convert --help"]),
        ("compress in.ply -o o.press --preset best", ["'best'", "--preset", "'tiny'"]),
        (f"compress in.ply -o o.press --{'x' * 150}", [f"--{'x' * 150}; see"]),
        ("compress in.ply -o o.press --presset high", ["--presset", "perhaps you meant --preset;"]),
        ("compare a.ply b.ply --views many", ["--views", "'many' is not a whole number"]),
        ("render a.ply -o", ["missing value", "--output"]),
        ("compress in.ply --preset best --help", ["'best'", "--preset"]),
    ],
)
def test_usage_errors_are_one_line(
    arguments: str, words: list[str], columns: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", columns)
    assert run(*arguments.split()) == 2
    assert_one_error_line(capsys, *words)
    assert os.environ["COLUMNS"] == columns


BOX = """\
\x1b[31m╭─\x1b[0m \x1b[1mInvalid choice\x1b[0m ───╮
│ Invalid choice 'best'. │
│ ────────────────────── │
│ For full helptext, run │
╰────────────────────────╯
"""


@pytest.mark.parametrize(
    ("box", "line"),
    [
        (BOX, "invalid choice 'best'; see it --help"),
        (" Invalid choice \n ------- \n  Invalid choice 'best'.\n  -----\n  For full helptext, run\n",
         "invalid choice 'best'; see it --help"),
        ("something else", "something else; see it --help"),
        ("", "bad usage; see it --help"),
    ],
)  # fmt: skip
def test_boxes_of_the_parser_become_one_line(box: str, line: str) -> None:
    assert usage.in_one_line(box, "it") == line


# Bad data


@pytest.mark.parametrize(
    "arguments",
    [
        "compress missing.ply -o out.press",
        "compress bad.ply -o out.press",
        "compress cut.ply -o out.press",
        "decompress missing.press -o out.ply",
        "decompress bad.press -o out.ply",
        "decompress cut.press -o out.ply",
        "decompress good.ply -o out.ply",
        "convert bad.ply out.ply",
        "convert unknown.xyz out.ply",
        "inspect missing.ply",
        "inspect bad.press",
        "inspect empty.ply --json",
        "compare good.ply bad.press",
        "render bad.ply -o out.png",
        "render good.ply -o missing/out.png",
        "render good.ply -o out.png --camera missing.json",
        "compress good.ply -o missing/out.press",
    ],
)
def test_bad_data_exits_with_1_and_one_line(
    arguments: str, ply: Path, press: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("good.ply").write_bytes(ply.read_bytes())
    Path("cut.ply").write_bytes(ply.read_bytes()[:-1])
    Path("cut.press").write_bytes(press.read_bytes()[:-1])
    for name in ("bad.ply", "bad.press", "unknown.xyz"):
        Path(name).write_bytes(b"nonsense")
    Path("empty.ply").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    capsys.readouterr()
    assert run(*arguments.split()) == 1
    assert_one_error_line(capsys)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        "compress {} -o out.press",
        "decompress {} -o out.ply",
        "convert {} out.ply",
        "inspect {}",
        "compare {} {}",
        "render {} -o out.png",
    ],
)
@pytest.mark.parametrize("name", ["pipe", "pipe.ply", "pipe.press", "pipe.splat", "/dev/zero"])
def test_pipes_and_devices_are_refused(
    arguments: str, name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Without waiting for somebody to write into the pipe."""
    monkeypatch.chdir(tmp_path)
    if not name.startswith("/"):
        os.mkfifo(name)
    assert run(*arguments.replace("{}", name).split()) == 1
    kind = "a device" if name.startswith("/") else "a pipe"
    assert_one_error_line(capsys, f"{name}: {kind}", "not a regular file", "write what it holds to a file")


def test_cameras_from_a_pipe_are_refused(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "transforms.json")
    out = tmp_path / "a.press"
    assert run("compress", ply, "-o", out, "--cameras", tmp_path / "transforms.json") == 1
    assert_one_error_line(capsys, "transforms.json: a pipe")


def test_a_pipe_on_stdin_is_refused(ply: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scenepress", "compress", "/dev/stdin", "-o", str(tmp_path / "a.press")]
    with open(ply, "rb") as file:
        done = subprocess.run(command, cwd=ROOT, input=file.read(), capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"scenepress: error: /dev/stdin: a pipe, not a regular file")
    assert len(done.stderr.splitlines()) == 1
    with open(ply, "rb") as file:  # Which is a file, by another name.
        assert subprocess.run(command, cwd=ROOT, stdin=file).returncode == 0


def test_errors_name_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", tmp_path / "gone.ply") == 1
    assert_one_error_line(capsys, "gone.ply", "No such file")


# Compress and decompress


def test_compress_says_what_came_out(
    scene: Splats, ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ply.read_bytes()
    out = tmp_path / "cloud.press"
    assert run("compress", ply, "-o", out, "--json") == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert captured.err == ""
    assert values["bytes_in"] == ply.stat().st_size
    assert values["bytes_out"] == out.stat().st_size
    assert values["ratio"] == pytest.approx(values["bytes_in"] / values["bytes_out"])
    assert values["splats"] == len(scene)
    assert 0 < values["splats_kept"] <= len(scene)
    assert values["preset"] == "balanced"
    assert values["psnr"] > 25
    assert 0 < values["ssim"] <= 1
    assert values["cameras"] == "synthesised"
    assert ply.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_the_quality_record_travels_in_the_file(press: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", press, "--json") == 0
    record = json.loads(capsys.readouterr().out)["press"]["metadata"]["quality"]
    assert record["psnr"] > 25
    assert record["views"] == 4
    assert record["cameras"] == "synthesised"
    assert run("inspect", press) == 0
    assert f"PSNR {record['psnr']:.2f} dB" in capsys.readouterr().out


def test_presets_trade_bytes_for_quality(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes, psnrs = [], []
    for preset in ("tiny", "balanced", "high"):
        out = tmp_path / f"{preset}.press"
        assert run("compress", ply, "-o", out, "--preset", preset, "--json") == 0
        values = json.loads(capsys.readouterr().out)
        sizes.append(values["bytes_out"])
        psnrs.append(values["psnr"])
    assert sizes == sorted(sizes)
    assert psnrs == sorted(psnrs)
    assert sizes[0] < sizes[-1]


def test_lossless_keeps_every_bit(
    scene: Splats, ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, back = tmp_path / "a.press", tmp_path / "b.ply"
    assert run("compress", ply, "-o", out, "--preset", "lossless", "--json") == 0
    assert json.loads(capsys.readouterr().out)["psnr"] is None  # Equal images have no finite PSNR.
    assert run("decompress", out, "-o", back) == 0
    again = table.read(back)
    for field in ("means", "quats", "log_scales", "opacity_logits", "sh0", "shN"):
        np.testing.assert_array_equal(
            getattr(again, field).view(np.uint32), getattr(scene, field).view(np.uint32)
        )
    assert run("inspect", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["press"]["metadata"]["quality"]["psnr"] is None


def test_keep_order(scene: Splats, ply: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.press"
    assert run("compress", ply, "-o", out, "--keep-order", "--preset", "high") == 0
    decoded = api.decompress(out.read_bytes())
    assert len(decoded) == len(scene)
    assert np.linalg.norm(decoded.means - scene.means, axis=1).max() < 0.05


def test_decompress_levels_and_truncated_files(press: Path, tmp_path: Path) -> None:
    levels = api.inspect(press).press.levels  # type: ignore[union-attr]
    whole, coarse, cut = tmp_path / "whole.ply", tmp_path / "coarse.ply", tmp_path / "cut.ply"
    assert run("decompress", press, "-o", whole) == 0
    assert run("decompress", press, "-o", coarse, "--levels", 1) == 0
    counts = len(table.read(whole)), len(table.read(coarse))
    assert 0 < counts[1] <= counts[0]
    if levels > 1:
        assert counts[1] < counts[0]
        shorter = tmp_path / "cut.press"
        shorter.write_bytes(press.read_bytes()[:-1])
        assert run("decompress", shorter, "-o", cut) == 1
        assert run("decompress", shorter, "-o", cut, "--allow-truncated") == 0
        assert counts[1] <= len(table.read(cut)) < counts[0]


def test_files_cut_short_say_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    big, cut, out = tmp_path / "big.ply", tmp_path / "cut.press", tmp_path / "out.ply"
    table.write(cloud(9000, 0, 3), big)
    data = api.compress(table.read(big), keep_order=True, measure=False)
    index = container.read_index(data)
    assert index.levels > 1
    ends = [e.offset + e.length for e in index.entries if e.level == 0]
    cut.write_bytes(data[: max(ends)])
    assert run("decompress", cut, "-o", out, "--allow-truncated") == 0
    (line,) = capsys.readouterr().err.splitlines()
    left = len(table.read(out))
    assert line.endswith(f"was cut short: 1 of {index.levels} levels are complete, {left} of 9000 splats")
    out.unlink()
    cut.write_bytes(data[: max(ends) - 1])
    assert run("decompress", cut, "-o", out, "--allow-truncated") == 1
    assert "before its first level of detail" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", ["compress", "compare"])
def test_cameras_that_see_nothing_are_refused(
    command: str, ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away, out = tmp_path / "away.cams.txt", tmp_path / "out.press"
    away.write_text("1 0 0 0 1 0 0 0 1 0 0 -1000 500 500\n" * 3)
    arguments = [ply, "-o", out] if command == "compress" else [ply, ply]
    assert run(command, *arguments, "--cameras", away) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "none of the 3 cameras sees anything of the scene" in line
    assert not out.exists()


def test_a_quality_far_from_what_was_aimed_at_is_said(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("compress", ply, "-o", tmp_path / "good.press") == 0
    assert capsys.readouterr().err == ""
    vain = dataclasses.replace(presets.PRESETS["tiny"], psnr=80.0, color=3000.0)
    monkeypatch.setitem(presets.PRESETS, "tiny", vain)
    assert run("compress", ply, "-o", tmp_path / "poor.press", "--preset", "tiny") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "far from the 80 that --preset tiny aims at" in line


def test_more_levels_than_there_are_is_said(
    press: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = api.inspect(press).press.levels  # type: ignore[union-attr]
    whole, most, more = (tmp_path / name for name in ("whole.ply", "most.ply", "more.ply"))
    assert run("decompress", press, "-o", whole) == 0
    assert run("decompress", press, "-o", most, "--levels", levels) == 0
    assert capsys.readouterr().err == ""
    assert run("decompress", press, "-o", more, "--levels", 99) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("scenepress: warning: ")
    assert f"--levels 99: has only {levels}" in line
    assert whole.read_bytes() == most.read_bytes() == more.read_bytes()


@pytest.mark.parametrize("suffix", [".ply", ".spz", ".sog", ".splat", ".glb", ".compressed.ply"])
def test_decompress_writes_every_format(suffix: str, press: Path, tmp_path: Path) -> None:
    out = tmp_path / f"a{suffix}"
    assert run("decompress", press, "-o", out) == 0
    assert api.inspect(out).count == api.inspect(press).count
    assert list(tmp_path.iterdir()) == [out]


def test_invalid_splats_are_named_and_dropped_on_request(
    scene: Splats, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    means = scene.means.copy()
    means[3, 1] = np.nan
    path, out = tmp_path / "nan.ply", tmp_path / "out.press"
    table.write(dataclasses.replace(scene, means=means), path)
    capsys.readouterr()
    assert run("compress", path, "-o", out, "--drop-invalid", "--json") == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("scenepress: warning: ")
    assert len(captured.err.splitlines()) == 1
    assert json.loads(captured.out)["splats"] == len(scene) - 1
    assert run("compress", path, "-o", tmp_path / "kept.press") == 1
    assert_one_error_line(capsys, "1 of 600", "--drop-invalid")
    assert run("compress", path, "-o", tmp_path / "kept.press", "--preset", "lossless") == 0
    assert np.isnan(api.load(tmp_path / "kept.press").means[3, 1])
    capsys.readouterr()
    assert run("convert", path, tmp_path / "kept.ply") == 0
    assert "1 of 600" in capsys.readouterr().err
    assert run("convert", path, tmp_path / "dropped.ply", "--drop-invalid") == 0
    assert len(table.read(tmp_path / "dropped.ply")) == len(scene) - 1


def test_an_empty_scene_survives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write(cloud(0), tmp_path / "empty.ply")
    for preset in ("balanced", "lossless"):
        out = tmp_path / f"{preset}.press"
        assert run("compress", tmp_path / "empty.ply", "-o", out, "--preset", preset, "--json") == 0
        assert json.loads(capsys.readouterr().out)["psnr"] is None
        assert len(api.load(out)) == 0
    assert run("compare", tmp_path / "empty.ply", out) == 1
    report = tmp_path / "r.html"
    assert run("compress", tmp_path / "empty.ply", "-o", tmp_path / "x.press", "--report", report) == 1
    assert not (tmp_path / "x.press").exists()


def test_compress_writes_a_report(
    ply: Path, cameras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, out = tmp_path / "report.html", tmp_path / "a.press"
    assert run("compress", ply, "-o", out, "--report", page, "--cameras", cameras, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["cameras"], values["views"]) == ("given", 2)
    record = metadata.of(container.read(out.read_bytes())).quality
    assert record is not None
    assert (record.cameras, record.views, record.width) == ("given", 2, 100)
    twin = json.loads(page.with_suffix(".json").read_text())
    assert values["report"] == str(page)
    assert twin["points"][0]["bytes"] == values["bytes_out"] == out.stat().st_size
    assert sum(rate["bytes"] for rate in twin["rates"]) == values["bytes_out"]
    text = page.read_text(encoding="utf-8")
    assert "cloud.ply" in text
    assert "2 views from transforms.json" in text


# Interrupts


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [(signal.SIGINT, 130, "scenepress: interrupted\n"), (signal.SIGTERM, 143, "")],
)
def test_signals_stop_the_program_and_leave_nothing(
    number: int, code: int, message: str, ply: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, time\n"
        "from scenepress import api, cli\n"
        "def encode(*_, **__): print('ready', flush=True); time.sleep(60)\n"
        "api.compress = encode\n"  # Stands still where real work would take its time.
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "compress", str(ply), "-o", str(tmp_path / "a.press")]
    with started(command, ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (code, "", message)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_of_code_in_a_string_is_no_other(ply: Path, tmp_path: Path) -> None:
    """Which is how Python makes named tuples and data classes, while libraries are imported."""
    (tmp_path / "program.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from scenepress import api, cli\n"
        "code = 'import time; print(1, flush=True); time.sleep(60)'\n"
        "api.compress = lambda *_, **__: exec(code)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-m", "program", "compress", str(ply), "-o", "a.press"]
    with started(command, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "scenepress: interrupted\n")


def test_an_interrupt_of_the_report_leaves_nothing(
    ply: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out, page = tmp_path / "a.press", tmp_path / "r.html"
    for place in ("scenepress.commands.build", "scenepress.report.page.render", "scenepress.report.as_json"):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupt)
            assert run("compress", ply, "-o", out, "--report", page) == 130
        assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_writing_keeps_the_old_file(
    ply: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.press"
    out.write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    assert run("compress", ply, "-o", out) == 130
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_no_progress_bar_where_nobody_watches(ply: Path, tmp_path: Path) -> None:
    with spawn("compress", ply, "-o", tmp_path / "a.press") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stderr == ""


# Convert, inspect, compare, render


def test_convert_and_inspect(
    scene: Splats, ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copy.ply"
    assert run("convert", ply, out) == 0
    assert run("inspect", out, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["count"] == len(scene)
    assert values["sh_degree"] == 3
    assert values["axes"] == "RDF"
    assert values["format"] == "ply"
    assert values["invalid"] == 0
    assert values["press"] is None
    np.testing.assert_allclose(values["lower"], scene.means.min(axis=0))
    np.testing.assert_allclose(values["upper"], scene.means.max(axis=0))
    assert run("inspect", out) == 0
    assert f"{len(scene):,}" in capsys.readouterr().out


def test_what_a_format_cannot_keep_is_one_line(
    ply: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("convert", ply, tmp_path / "a.splat") == 0  # This format has no SH.
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines
    assert all(line.startswith("scenepress: warning: ") for line in lines)
    assert any("SH" in line for line in lines)
    assert api.load(tmp_path / "a.splat").sh_degree == 0


def test_progress_waits_two_seconds_and_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    clock = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with checks.progress() as progress:
            progress("encoding", 0.1)
            clock[0] += 1.9
            progress("encoding", 0.5)
            assert stream.getvalue() == ""
            clock[0] += 0.2
            progress("measuring", 0.75)
            assert ("measuring:  75 %" in stream.getvalue()) == shown


def test_inspect_says_where_the_bytes_go(press: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", press, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert sum(rate["bytes"] for rate in values["press"]["rates"]) == press.stat().st_size
    assert {"position", "colour", "container", "metadata"} <= {
        r["stage"] for r in values["press"]["rates"]
    }
    assert values["format"] == "press"
    assert values["press"]["metadata"]["source_name"] == "cloud.ply"
    assert values["press"]["metadata"]["source_format"] == "ply"
    assert values["press"]["metadata"]["preset"] == "balanced"
    assert run("inspect", press) == 0
    assert "position" in capsys.readouterr().out


def test_a_press_file_is_known_by_its_content(press: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "scene.bin"
    renamed.write_bytes(press.read_bytes())
    assert run("inspect", renamed) == 0


def test_compare_prints_json_and_text(
    ply: Path, press: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", ply, press, "--views", 2, "--size", 96, "--json") == 0
    captured = capsys.readouterr()
    values = json.loads(captured.out)
    assert values["bytes_a"] == ply.stat().st_size
    assert values["bytes_b"] == press.stat().st_size
    assert values["psnr"] > 25
    assert 0 < values["ssim"] <= 1
    assert len(values["views"]) == 2
    assert values["views"][0]["width"] == 96
    assert run("compare", ply, ply, "--views", 1, "--size", 64) == 0
    assert "equal images" in capsys.readouterr().out
    assert run("compare", ply, ply, "--views", 1, "--size", 64, "--json") == 0
    assert json.loads(capsys.readouterr().out)["psnr"] is None


def test_render_and_camera_files(
    ply: Path, cameras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    out = tmp_path / "a.png"
    assert run("render", ply, "-o", out, "--size", 120) == 0
    with image.open(out) as picture:
        assert picture.width == 120
        assert np.asarray(picture).std() > 5
    for view in ("", ":1", ":images/second.png"):
        assert (
            run("render", ply, "-o", out, "--camera", f"{cameras}{view}", "--background", "white") == 0
        )
        with image.open(out) as picture:
            assert picture.size == (100, 80)
            pixels = np.asarray(picture)
        assert pixels[0, 0].tolist() == [255, 255, 255]  # The corner sees past the sphere.
        assert pixels[40, 50].min() < 250
    assert run("render", ply, "-o", out, "--camera", f"{cameras}:7") == 2
    capsys.readouterr()
    assert run("compare", ply, ply, "--cameras", cameras, "--size", 50, "--json") == 0
    views = json.loads(capsys.readouterr().out)["views"]
    assert [(view["width"], view["height"]) for view in views] == [(50, 40), (50, 40)]


def test_odd_file_names_are_shown(ply: Path, tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/a\xff\n\xc3\xa9.ply"
    with open(odd, "wb") as file:
        file.write(ply.read_bytes())
    with spawn("inspect", os.fsdecode(odd)) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert "\\udcff" in out
    with spawn("inspect", os.fsdecode(odd) + "gone") as process:
        out, err = process.communicate()
    assert process.returncode == 1
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", ["--help", "compress --help", "--version", "inspect {}", "inspect {} --json"]
)
def test_closed_pipes_end_quietly(arguments: str, press: Path) -> None:
    """`| head` reads what it wants and goes; what is left may be noticed only when Python ends."""
    words = [str(press) if word == "{}" else word for word in arguments.split()]
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "scenepress", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_errors_nobody_reads_end_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "scenepress", "inspect", str(tmp_path / "gone.ply")]
    assert subprocess.run(command, cwd=ROOT, stderr=writing).returncode == 141
    os.close(writing)


def test_compress_replaces_no_other_file(
    ply: Path, cameras: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the cameras with the report's twin, not the .press with the report, no scene of another format."""
    own = tmp_path / "transforms.json"
    own.write_bytes(cameras.read_bytes())
    out = tmp_path / "a.press"
    for arguments in (
        ["-o", out, "--cameras", own, "--report", own.with_suffix(".html")],
        ["-o", out, "--report", out],
        ["-o", tmp_path / "r.json", "--report", tmp_path / "r.html"],
        ["-o", own, "--cameras", own],
        ["-o", tmp_path / "b.ply"],
        ["-o", tmp_path / "b.compressed.ply"],
    ):
        assert run("compress", ply, *arguments) == 2
        assert_one_error_line(capsys)
    assert os.listdir(tmp_path) == ["transforms.json"]
    assert own.read_bytes() == cameras.read_bytes()


def test_a_missing_folder_is_found_before_the_work(
    ply: Path, press: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "load", lambda _path: pytest.fail("read the scene first"))
    monkeypatch.setattr(api, "decompress", lambda *_a, **_k: pytest.fail("decoded the scene first"))
    nowhere = tmp_path / "nowhere"
    for arguments in (
        ["compress", ply, "-o", nowhere / "a.press"],
        ["compress", ply, "-o", tmp_path / "a.press", "--report", nowhere / "r.html"],
        ["decompress", press, "-o", nowhere / "a.ply"],
        ["convert", ply, nowhere / "a.spz"],
        ["render", ply, "-o", nowhere / "a.png"],
    ):
        assert run(*arguments) == 1
        assert_one_error_line(capsys, "No such file or directory", "nowhere")


@pytest.mark.parametrize("problem", ["Is a directory", "Permission denied"])
def test_an_unwritable_place_is_found_before_the_work(
    problem: str, ply: Path, press: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(api, "load", lambda _path: pytest.fail("read the scene first"))
    monkeypatch.setattr(api, "decompress", lambda *_a, **_k: pytest.fail("decoded the scene first"))
    if problem == "Permission denied":
        monkeypatch.setattr(os, "access", lambda *_: False)
    for arguments in (
        ["compress", ply, "-o", tmp_path / "it.press"],
        ["compress", ply, "-o", tmp_path / "a.press", "--report", tmp_path / "it.html"],
        ["decompress", press, "-o", tmp_path / "it.ply"],
        ["convert", ply, tmp_path / "it.spz"],
        ["render", ply, "-o", tmp_path / "it.png"],
    ):
        if problem == "Is a directory":
            Path(arguments[-1]).mkdir()
        assert run(*arguments) == 1
        assert_one_error_line(capsys, str(tmp_path), problem)


def test_help_survives_a_terminal_without_unicode() -> None:
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program = spawn("compress", "--help", env=plain)
    assert "--preset" in program.communicate(timeout=60)[0]
    assert program.returncode == 0
